//! The view that follows: a thread asks the server, this one draws and listens to keys.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use anyhow::Context;
use hyper::Uri;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Text;
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use super::client::Client;
use super::sample::Sample;
use super::table;

/// How long a key may wait.
const LOOK: Duration = Duration::from_millis(50);
/// Rows that Page Up and Page Down go over.
const PAGE: u16 = 20;

type Looked = anyhow::Result<Sample>;

/// What is on the screen.
#[derive(Debug, Default)]
struct View {
    sample: Option<Sample>,
    summary: String,
    /// Why there is nothing newer.
    trouble: Option<String>,
    state: TableState,
}

/// Draws until somebody asks for the end.
pub(super) fn run(client: Client, url: &Uri, interval: Duration) -> anyhow::Result<()> {
    let (sender, samples) = sync_channel(0);
    // Dropped with the receiver, it ends when it has something to say.
    let (alive, ended) = sync_channel::<()>(0);
    std::thread::spawn(move || look(&client, interval, &sender, &ended));
    let mut terminal = ratatui::try_init().context("failed to take the terminal")?;
    let mut view = View::default();
    let drawn = loop {
        match samples.try_recv() {
            Ok(looked) => view.take(url, looked),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break Err(anyhow::anyhow!("the thread that asks the server has ended")),
        }
        if let Err(error) = terminal.draw(|frame| view.draw(frame)) {
            break Err(error.into());
        }
        match key() {
            Ok(Some(Key::End)) => break Ok(()),
            Ok(Some(Key::Down(rows))) => view.state.scroll_down_by(rows),
            Ok(Some(Key::Up(rows))) => view.state.scroll_up_by(rows),
            Ok(None) => {}
            Err(error) => break Err(error.into()),
        }
    };
    ratatui::restore();
    drop(alive);
    drawn.context("failed to show it")
}

/// Asks again and again, until nobody wants to know.
fn look(client: &Client, interval: Duration, samples: &SyncSender<Looked>, ended: &Receiver<()>) {
    while samples.send(client.sample()).is_ok() {
        if !matches!(ended.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

/// What is asked of the view.
enum Key {
    End,
    Down(u16),
    Up(u16),
}

fn key() -> std::io::Result<Option<Key>> {
    if !event::poll(LOOK)? {
        return Ok(None);
    }
    let Event::Key(key) = event::read()? else { return Ok(None) };
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(match key.code {
        _ if key.kind == KeyEventKind::Release => None,
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::End),
        KeyCode::Char('c') if is_control => Some(Key::End),
        KeyCode::Down | KeyCode::Char('j') => Some(Key::Down(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(Key::Up(1)),
        KeyCode::PageDown => Some(Key::Down(PAGE)),
        KeyCode::PageUp => Some(Key::Up(PAGE)),
        _ => None,
    })
}

impl View {
    fn take(&mut self, url: &Uri, looked: Looked) {
        match looked {
            Ok(sample) => {
                self.summary = table::summary(url, self.sample.as_ref(), &sample);
                self.sample = Some(sample);
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(format!("{error:#}")),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let [summary, trouble, rows] =
            Layout::vertical([Constraint::Length(3), Constraint::Length(1), Constraint::Min(0)]).areas(frame.area());
        frame.render_widget(Paragraph::new(Text::raw(&self.summary)), summary);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if let Some(text) = &self.trouble {
            frame.render_widget(Paragraph::new(Text::styled(text.as_str(), bold)), trouble);
        }
        let Some(sample) = &self.sample else { return };
        let lines = sample.sessions.iter().map(|session| Row::new(table::row(session, sample.now)));
        let widths = [36, 8, 6, 10, 10, 8, 8].map(Constraint::Length).into_iter().chain([Constraint::Min(10)]);
        let shown = Table::new(lines, widths)
            .header(Row::new(table::HEADINGS).style(Style::new().add_modifier(Modifier::REVERSED)))
            .row_highlight_style(bold);
        frame.render_stateful_widget(shown, rows, &mut self.state);
    }
}
