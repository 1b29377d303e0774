//! Writing HTML so that a hostile value stays text: what is written as mark-up is fixed in the source (`&'static str`), and
//! everything else is escaped. Never writes a script, a style or a link target from a value that is not escaped.

use std::fmt::{Display, Write};

/// A page being written.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds mark-up, known when the program was built.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a value as text: good between tags and inside a double-quoted attribute.
    pub(super) fn text(&mut self, value: impl Display) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(Escaped(&mut self.0), "{value}");
        self
    }

    /// Adds `<tag>value</tag>`, for tags without attributes.
    pub(super) fn cell(&mut self, open: &'static str, value: impl Display, close: &'static str) -> &mut Self {
        self.raw(open).text(value).raw(close)
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // Control characters, and those that turn the writing direction of what follows.
                c if c.is_control()
                    || ('\u{202a}'..='\u{202e}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c) =>
                {
                    self.0.push('\u{fffd}');
                }
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Opens a page with this title: head, style, script.
pub(super) fn head(title: impl Display, script: &'static str) -> Html {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n")
        .raw("<link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/ui/page.css\">\n")
        .cell("<title>", title, "</title>\n")
        .raw(script)
        .raw("</head>\n<body>\n");
    html
}

/// `1:05` or `1:00:05` for a number of seconds.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_never_becomes_mark_up(value in "\\PC*[<>&\"'\\x00-\\x1f]?\\PC*") {
            let mut html = Html::default();
            html.text(&value);
            let text = html.finish();
            let harmful = ['<', '>', '"', '\'', '\0', '\u{1b}', '\u{202e}'];
            prop_assert!(!text.contains(harmful));
            let bare = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").replace("&quot;", "").replace("&#39;", "");
            prop_assert!(!bare.contains('&'));
        }
    }

    #[test]
    fn a_clock_shows_hours_only_where_there_are_any() {
        assert_eq!((clock(5), clock(65), clock(3605)), ("0:05".into(), "1:05".into(), "1:00:05".into()));
    }
}
