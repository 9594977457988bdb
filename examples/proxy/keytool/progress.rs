//! A bar on stderr, if that is a terminal.

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

const BAR: &str = "{bar:40} {percent:>3}%  {msg}";
const SPINNER: &str = "{spinner} {msg}";

pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of so much to do, if that is known.
    pub(super) fn new(total: Option<u64>) -> Self {
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = if total.is_some() { BAR } else { SPINNER };
        // A template that cannot be read would be seen at once.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(bar.with_style(style))
    }

    /// So much is done, and makes so many keys.
    pub(super) fn at(&self, done: u64, keys: usize) {
        self.0.set_message(format!("{} keys", HumanCount(keys as u64)));
        self.0.set_position(done);
    }

    pub(super) fn total(&self, total: u64) {
        self.0.set_length(total);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
