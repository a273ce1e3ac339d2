//! `completions` and `man`: made from the command line's own definition, so that they cannot differ from it.

use std::io::Write as _;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, GOOD, UNUSABLE, complain};

/// Prints the completions for a shell.
pub fn completions(shell: Shell) -> u8 {
    // Made in memory: the generator panics where its writer fails, as a pipe does whose reader has gone.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sealgate", &mut text);
    print(&text)
}

/// Prints the page of `sealgate` itself, or writes those of all commands.
pub fn man(folder: Option<&Path>) -> u8 {
    let command = Cli::command();
    let Some(folder) = folder else {
        let mut text = Vec::new();
        return match clap_mangen::Man::new(command).render(&mut text) {
            Ok(()) => print(&text),
            Err(error) => complain(&error, UNUSABLE),
        };
    };
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder).map(drop));
    match written {
        Ok(()) => GOOD,
        Err(error) => complain(
            &format!("{}: cannot be written: {error}", folder.display()),
            UNUSABLE,
        ),
    }
}

fn print(text: &[u8]) -> u8 {
    let _ = std::io::stdout().write_all(text);
    GOOD
}
