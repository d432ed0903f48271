//! The engine: one for a process, shared by everything that is loaded.

use std::sync::Arc;

use wasmtime::{Config, OptLevel, Strategy, WasmBacktraceDetails, component::Linker};

use crate::{compiled::CodeStore, guest::Guest, host, limits::Limits, ticker::Ticker};

/// Stack of a buildpack's own code. Beyond it, `its stack overflowed`.
const GUEST_STACK: usize = 1 << 20;
/// Stack that a call runs on, the host's functions included: what they do (patterns, archives, TLS) may go deep, and to
/// overrun it would end the process. Pages that are not touched cost nothing.
const WHOLE_STACK: usize = 8 << 20;

/// Compiles and runs buildpacks. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    engine: wasmtime::Engine,
    /// The contract's host side, all versions of it.
    linker: Linker<Guest>,
    ticker: Ticker,
    limits: Limits,
    code: Option<CodeStore>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime does not run with these settings on this machine.
    #[error("could not start the WebAssembly engine")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No thread could be started.
    #[error("could not start the thread that keeps time for buildpacks")]
    Ticker(#[source] std::io::Error),
}

impl Engine {
    /// An engine that keeps compiled code in `code`, if there is such a folder.
    pub fn new(limits: Limits, code: Option<CodeStore>) -> Result<Self, EngineError> {
        let start = |error: wasmtime::Error| EngineError::Start(error.into());
        let engine = wasmtime::Engine::new(&config()).map_err(start)?;
        let linker = link(&engine).map_err(start)?;
        let ticker = Ticker::start(engine.weak()).map_err(EngineError::Ticker)?;
        Ok(Self(Arc::new(Inner { engine, linker, ticker, limits, code })))
    }

    /// The caps of the sandbox.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    pub(crate) fn linker(&self) -> &Linker<Guest> {
        &self.0.linker
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.0.ticker
    }

    pub(crate) fn code(&self) -> Option<&CodeStore> {
        self.0.code.as_ref()
    }
}

/// Everything off that a buildpack does not need: most security advisories of the engine are about such things. Threads,
/// garbage collection, exceptions and asynchronous components are not even compiled in (root `Cargo.toml`, features).
fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_gc(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false)
        // Equal inputs, equal results, on any machine.
        .wasm_relaxed_simd(false)
        .cranelift_nan_canonicalization(true)
        // Only debuggers read it; without it kept code is smaller, and checked and loaded faster.
        .native_unwind_info(false)
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(WHOLE_STACK)
        // Not what the environment says.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// The contract and the harmless part of WASI. Sockets are not linked.
fn link(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    use wasmtime_wasi::{
        cli::{WasiCli, WasiCliView},
        clocks::{WasiClocks, WasiClocksView},
        filesystem::{WasiFilesystem, WasiFilesystemView},
        p2::bindings::{cli, clocks, filesystem, random},
        random::{WasiRandom, WasiRandomView},
    };
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    host::link(l)?;
    wasmtime_wasi_io::add_to_linker_async(l)?;
    clocks::wall_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    clocks::monotonic_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    random::random::add_to_linker::<Guest, WasiRandom>(l, Guest::random)?;
    random::insecure::add_to_linker::<Guest, WasiRandom>(l, Guest::random)?;
    random::insecure_seed::add_to_linker::<Guest, WasiRandom>(l, Guest::random)?;
    cli::environment::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::exit::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_input::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_output::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    filesystem::preopens::add_to_linker::<Guest, WasiFilesystem>(l, Guest::filesystem)?;
    filesystem::types::add_to_linker::<Guest, WasiFilesystem>(l, Guest::filesystem)?;
    Ok(linker)
}
