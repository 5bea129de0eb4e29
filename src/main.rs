//! The program: reads the command line and does what it says.

use clap::Parser as _;
use payerbase::cli::Cli;

/// Many small allocations on several threads is what it is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// The lanes run on this one thread, HTTP on the workers': a lane that waited on a pool of threads would wake two of them.
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
