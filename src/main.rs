//! The program: runs the command of the command line.

use clap::Parser as _;
use payerbase::cli::Cli;

/// Fast for many small allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    match run(Cli::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payerbase: {}", payerbase::db::plain(&*error));
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // It has no files besides its connection, so no runtime.
    if let Some(kind) = cli.worker() {
        return Ok(payerbase::sqlite::worker::run(kind)?);
    }
    // This thread only waits for signals: requests and lanes run on the threads of the HTTP server.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(cli.run())
}
