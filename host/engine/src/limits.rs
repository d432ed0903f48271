//! How much a buildpack may use up while it runs. What it may use up at its workbench is the workbench's to limit.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::stop::Stop;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Caps of the sandbox. The defaults suit buildpacks in Rust; a person who runs others can raise them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a component's file. Compiling takes about a second a megabyte and core.
    pub component_bytes: usize,
    /// Bytes of one function in a component. Functions are compiled one by one, and the time grows faster than the size.
    pub function_bytes: usize,
    /// Functions of a component, all its modules together.
    pub functions: usize,
    /// Bytes of all memories of a running buildpack together.
    pub memory_bytes: usize,
    /// Elements of all tables of a running buildpack together.
    pub table_elements: usize,
    /// Core instances, memories and tables that one component may consist of, each.
    pub instances: usize,
    /// Bytes that one call from or to the buildpack may make the host hold.
    pub call_bytes: usize,
    /// Things of the host that a buildpack holds at one time: layers, archives, streams.
    pub handles: usize,
    /// Random bytes that it gets in one call.
    pub random_bytes: u64,
    /// How long detect may take.
    pub detect: Duration,
    /// How long build may take, without the time in which the host fetches dependencies for it.
    pub build: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 64 * MIB,
            function_bytes: MIB,
            functions: 200_000,
            memory_bytes: 256 * MIB,
            table_elements: 100_000,
            instances: 64,
            call_bytes: 32 * MIB,
            handles: 10_000,
            random_bytes: 64 * KIB as u64,
            detect: Duration::from_secs(5),
            build: Duration::from_mins(10),
        }
    }
}

/// What a running buildpack has taken of memory and tables, summed over everything it consists of: the limit that
/// wasmtime offers is one a memory, and a component may have many.
#[derive(Debug)]
pub(crate) struct Quota {
    memory: usize,
    table: usize,
    limits: Limits,
}

impl Quota {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory: 0, table: 0, limits: limits.clone() }
    }
}

impl ResourceLimiter for Quota {
    // An error stops the buildpack where it stands. A polite "no" would let it run on in a way that depends on the machine.
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let memory = self.memory.saturating_add(desired.saturating_sub(current));
        if memory > self.limits.memory_bytes {
            return Err(Stop::Memory(self.limits.memory_bytes).into());
        }
        self.memory = memory;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context("could not grow a memory"))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let table = self.table.saturating_add(desired.saturating_sub(current));
        if table > self.limits.table_elements {
            return Err(Stop::Table(self.limits.table_elements).into());
        }
        self.table = table;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_are_summed() {
        let limits = Limits { memory_bytes: 10 * MIB, table_elements: 10, ..Limits::default() };
        let mut quota = Quota::new(&limits);
        assert!(quota.memory_growing(0, 6 * MIB, None).unwrap());
        assert!(quota.memory_growing(0, 4 * MIB, None).unwrap(), "a second memory");
        let error = quota.memory_growing(6 * MIB, 6 * MIB + 1, None).unwrap_err();
        assert_eq!(error.downcast_ref::<Stop>().unwrap().to_string(), "it wanted more than 10 MiB of memory");
        assert!(quota.memory_growing(0, usize::MAX, None).is_err(), "no sum runs over");
        assert!(quota.table_growing(0, 10, None).unwrap());
        assert!(quota.table_growing(0, 1, None).is_err());
    }
}
