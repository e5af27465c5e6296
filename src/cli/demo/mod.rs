//! `seatwatch demo`.
mod hook;
mod mailbox;
#[derive(clap::Args, Debug)]
pub(super) struct Args {}
pub(super) fn run(_: &super::Common, _: &Args) -> Result<super::Exit, super::Failure> {
    Ok(super::Exit::Fine)
}
