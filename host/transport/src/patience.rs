//! How long a connection may be silent: within a body less long than before the headers. The library has one limit for
//! each single read; which of ours holds is known from the budget that comes with it.

use std::time::Duration;

use ureq::{
    Error, Timeout,
    unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport},
};

/// Puts the limit for silence within bodies on every connection.
#[derive(Debug)]
pub(crate) struct Patience {
    pub(crate) idle: Duration,
}

/// A connection with that limit.
#[derive(Debug)]
pub(crate) struct Impatient<T> {
    inner: T,
    idle: Duration,
}

impl<In: Transport> Connector<In> for Patience {
    type Out = Impatient<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Impatient { inner, idle: self.idle }))
    }
}

impl<T: Transport> Transport for Impatient<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, mut timeout: NextTimeout) -> Result<bool, Error> {
        // Waiting for headers has a budget of its own; without one this is a body.
        if timeout.reason != Timeout::RecvResponse {
            timeout.per_read = Some(self.idle.into());
        }
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
