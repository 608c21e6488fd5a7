//! `eggbox checkpoint export` and `import`: checkpoints as files.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use eggbox_engine::{CheckpointId, SessionId, export_checkpoint, import_checkpoint};

use crate::cli::{self, ExportCheckpoint, ImportCheckpoint};
use crate::config;

pub(crate) fn export(
    ExportCheckpoint { checkpoint, key, output, state_dir }: ExportCheckpoint,
) -> anyhow::Result<ExitCode> {
    let doing = || format!("failed to export the checkpoint {checkpoint}");
    let name = SessionId::try_from(checkpoint.clone()).with_context(doing)?;
    let (id, state_dir) = (CheckpointId::from(name.of(key)), place(state_dir)?);
    let Some(path) = output else {
        if io::stdout().is_terminal() {
            bail!(
                "failed to export the checkpoint {checkpoint}: it is no text: give --output FILE, or send it to a file"
            );
        }
        export_checkpoint(&state_dir, &id, BufWriter::new(io::stdout().lock())).with_context(doing)?;
        return Ok(ExitCode::SUCCESS);
    };
    let exported = write(&state_dir, &id, &path).with_context(doing);
    if exported.is_err() {
        // What there is of it is of no use.
        let _ = std::fs::remove_file(&path);
    }
    exported.map(|()| ExitCode::SUCCESS)
}

fn write(state_dir: &Path, id: &CheckpointId, path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    // It has a session's secrets in it.
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.with_context(|| format!("failed to write {}", path.display()))?);
    export_checkpoint(state_dir, id, &mut file)?;
    Ok(file.flush()?)
}

pub(crate) fn import(ImportCheckpoint { file, state_dir }: ImportCheckpoint) -> anyhow::Result<ExitCode> {
    let state_dir = place(state_dir)?;
    let id = match &file {
        Some(path) => {
            let opened = File::open(path).with_context(|| format!("failed to read {}", path.display()))?;
            import_checkpoint(&state_dir, BufReader::new(opened))
        }
        None => import_checkpoint(&state_dir, io::stdin().lock()),
    };
    let id = id.context("failed to import a checkpoint")?;
    cli::print(&format!("{id}\n"));
    Ok(ExitCode::SUCCESS)
}

fn place(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    Ok(config::state_dir(given, &config::User::here())?)
}
