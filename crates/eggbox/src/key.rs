//! `eggbox key new`: makes a key, shows it once, and says what of it goes into the configuration. Writes no file.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use eggbox_engine::Owner;
use eggbox_server::{KeyText, is_key_text};

use crate::cli::{self, NewKey};
use crate::key_stanza::{KeyStanza, Most};

pub(crate) fn new(NewKey { name, limits }: NewKey) -> anyhow::Result<ExitCode> {
    limits.limits(Most(None)).map_err(|error| anyhow!(error)).context("failed to make a key")?;
    let text = KeyText::new(&name).context("failed to make a key: the kernel gives no randomness")?;
    cli::print(&explain(&name, &text, limits));
    Ok(ExitCode::SUCCESS)
}

fn explain(name: &Owner, text: &KeyText, limits: KeyStanza) -> String {
    let stanza = KeyStanza { sha256: Some(text.hash().to_string()), ..limits };
    format!(
        "{}\n\n# Above is the key, which is shown only now. Below is what goes into the file of --config.\n\n\
         [keys.{name}]\n{stanza}",
        text.reveal()
    )
}

/// The first line of a configuration that has a key itself in it, counted from 1: the parser would quote it.
pub(crate) fn line_with_key(text: &str) -> Option<usize> {
    let is_of_key = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    let has_key = |line: &str| line.split(|character| !is_of_key(character)).any(is_key_text);
    text.lines().position(has_key).map(|line| line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_noticed_where_only_its_hash_belongs() {
        let name = Owner::try_from("ann").unwrap();
        let text = KeyText::new(&name).unwrap();
        let printed = explain(&name, &text, KeyStanza::default());
        assert_eq!(line_with_key(&printed), Some(1));
        assert_eq!(line_with_key(printed.split_once('\n').unwrap().1), None);
        assert_eq!(line_with_key(&format!("[keys.ann]\nsha256 = \"{}\"", text.reveal())), Some(2));
    }
}
