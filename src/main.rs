//! The program: runs the command of the command line.

use clap::Parser as _;
use payerbase::cli::Cli;

/// Fast for many small allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// This thread only waits for signals: requests and lanes run on the threads of the HTTP server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match Cli::parse().run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payerbase: {}", payerbase::db::plain(&*error));
            std::process::ExitCode::FAILURE
        }
    }
}
