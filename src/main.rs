//! Arguments to command, logging, exit code; nothing else. Everything the program does is in the library, so that
//! tests can drive it in process.

use std::process::ExitCode;

fn main() -> ExitCode {
    seatwatch::cli::main()
}
