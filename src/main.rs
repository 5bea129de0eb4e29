//! The program: reads the command line and does what it says.

use clap::Parser as _;
use payerbase::cli::Cli;

/// Many small allocations on several threads is what it is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// This thread waits for signals and watches over the rest: requests and lanes run on the threads of the HTTP server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match Cli::parse().run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payerbase: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
