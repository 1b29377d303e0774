//! Mark-up away, words kept: HTML and SSML tags, Markdown, links, role markers, template tokens that were left over.
//! One pass with bounded look-ahead; reads no meaning and never interprets what it removes.

/// The longest tag, token or link target looked for; what is longer is not one.
const LONGEST_CHARS: usize = 512;
/// A line break after a shorter line that is followed by a capital ends a sentence; a longer line was wrapped.
const WRAPPED_CHARS: usize = 60;

/// The text without mark-up. A line break in the result ends a sentence; every other break has become a space.
pub(super) fn without_markup(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut pass =
        Pass { chars: &chars, out: String::with_capacity(text.len()), at: 0, line: Line::default(), brackets: 0 };
    pass.line_start();
    while pass.at < chars.len() {
        pass.step();
    }
    pass.out
}

/// What is known of the line being read.
#[derive(Default)]
struct Line {
    /// A heading, list item or table row: its end is a pause.
    block: bool,
    start: usize,
}

struct Pass<'a> {
    chars: &'a [char],
    out: String,
    at: usize,
    line: Line,
    brackets: u32,
}

impl Pass<'_> {
    fn char(&self, at: usize) -> char {
        self.chars.get(at).copied().unwrap_or('\0')
    }

    fn starts(&self, at: usize, what: &str) -> bool {
        what.chars().enumerate().all(|(offset, c)| self.char(at + offset) == c)
    }

    /// Where `what` starts, not further than [`LONGEST_CHARS`] from `from`.
    fn find(&self, from: usize, what: &str) -> Option<usize> {
        let end = self.chars.len().min(from + LONGEST_CHARS);
        (from..end).find(|&at| self.starts(at, what))
    }

    fn run(&self, from: usize, wanted: impl Fn(char) -> bool) -> usize {
        let rest = self.chars.get(from..).unwrap_or(&[]);
        rest.iter().take_while(|&&c| wanted(c)).count()
    }

    /// Jumps to `to` and leaves a gap for what was there.
    fn drop_to(&mut self, to: usize) {
        self.out.push(' ');
        self.at = to;
    }

    fn step(&mut self) {
        match self.char(self.at) {
            '\n' => self.line_end(),
            '<' => self.angle(),
            '{' => self.brace(),
            '$' | '%' if self.char(self.at + 1) == '{' => self.at += 1,
            '}' => self.drop_to(self.at + 1),
            '[' => {
                self.brackets += 1;
                self.drop_to(self.at + 1);
            }
            ']' => self.bracket_end(),
            '*' | '•' | '●' | '∙' => self.stars(),
            '~' if self.char(self.at + 1) == '~' => self.at += 2,
            '`' => self.ticks(),
            '|' => {
                self.out.push_str(", ");
                self.at += 1;
            }
            '\\' => self.backslash(),
            c => {
                self.out.push(c);
                self.at += 1;
            }
        }
    }

    fn line_start(&mut self) {
        self.line = Line { block: false, start: self.at };
        let mut at = self.at + self.run(self.at, |c| c == ' ');
        while self.char(at) == '>' {
            at += 1;
            at += self.run(at, |c| c == ' ');
        }
        let hashes = self.run(at, |c| c == '#');
        if (1..=6).contains(&hashes) && self.char(at + hashes) == ' ' {
            self.line.block = true;
            at += hashes;
        } else if matches!(self.char(at), '-' | '*' | '+' | '•' | '–' | '‣' | '◦') && self.char(at + 1) == ' ' {
            // "- 500" at the start of a line is an item too: a minus has no gap behind it.
            self.line.block = true;
            at += 1;
        } else if matches!(self.char(at), '-' | '*' | '=' | '_') {
            let rule = self.run(at, |c| matches!(c, '-' | '*' | '=' | '_' | ' '));
            if rule >= 3 && matches!(self.char(at + rule), '\n' | '\0') {
                self.line.block = true;
                at += rule;
            }
        }
        self.at = at;
    }

    fn line_end(&mut self) {
        let short = self.at - self.line.start < WRAPPED_CHARS;
        let was_block = self.line.block;
        let blank = self.run(self.at, |c| c == '\n' || c == ' ');
        let breaks = (self.at..self.at + blank).filter(|&at| self.char(at) == '\n').count();
        self.at += blank;
        self.line_start();
        let capital = self.char(self.at).is_uppercase();
        let pause = breaks > 1 || was_block || self.line.block || (short && capital);
        self.out.push(if pause { '\n' } else { ' ' });
    }

    fn angle(&mut self) {
        let at = self.at;
        let paired = [("<|", "|>"), ("<<", ">>"), ("<!--", "-->")];
        for (open, close) in paired {
            if self.starts(at, open)
                && let Some(end) = self.find(at + open.len(), close)
            {
                return self.drop_to(end + close.len());
            }
        }
        let next = self.char(at + 1);
        let end =
            if next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?') { self.find(at + 1, ">") } else { None };
        let Some(end) = end else {
            self.out.push('<');
            self.at += 1;
            return;
        };
        let inner: String = self.chars.get(at + 1..end).unwrap_or(&[]).iter().collect();
        if !inner.contains(' ') && (inner.contains('@') || inner.contains("://")) {
            // An address in angle brackets is content.
            self.out.push(' ');
            self.out.push_str(&inner);
        }
        self.at = end + 1;
        self.tag(&inner.to_ascii_lowercase());
    }

    /// What a removed tag leaves: a pause where a block ended, nothing inside a word, nothing of scripts and styles.
    fn tag(&mut self, inner: &str) {
        let name: &str = inner.trim_start_matches('/');
        let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        match name {
            "br" | "p" | "div" | "li" | "ul" | "ol" | "tr" | "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
            | "s" => {
                self.out.push('\n');
            }
            "break" | "td" | "th" => self.out.push_str(", "),
            "b" | "i" | "em" | "strong" | "u" | "span" | "sub" | "sup" | "mark" => {}
            "script" | "style" if !inner.starts_with('/') => {
                let close = format!("</{name}");
                if let Some(end) = self.find(self.at, &close) {
                    self.drop_to(end);
                }
            }
            _ => self.out.push(' '),
        }
    }

    fn brace(&mut self) {
        let at = self.at;
        let shell = matches!(self.char(at.wrapping_sub(1)), '$' | '%');
        for (open, close) in [("{{", "}}"), ("{%", "%}"), ("{#", "#}")] {
            if self.starts(at, open)
                && let Some(end) = self.find(at + 2, close)
            {
                return self.drop_to(end + 2);
            }
        }
        if shell && let Some(end) = self.find(at, "}") {
            return self.drop_to(end + 1);
        }
        self.drop_to(at + 1);
    }

    fn bracket_end(&mut self) {
        let open = self.brackets > 0;
        self.brackets = self.brackets.saturating_sub(1);
        if open && self.char(self.at + 1) == '(' {
            let end = self.find(self.at + 2, ")").unwrap_or(self.at + 1);
            return self.drop_to(end + 1);
        }
        self.drop_to(self.at + 1);
    }

    /// Stars are emphasis, unless they hide digits: "****1234" goes on as "XXXX1234".
    fn stars(&mut self) {
        let mut at = self.at;
        let run = self.run(at, |c| matches!(c, '*' | '•' | '●' | '∙'));
        at += self.run(at, |c| matches!(c, '*' | '•' | '●' | '∙' | ' ' | '-')).min(LONGEST_CHARS);
        let digits = self.run(at, |c| c.is_ascii_digit()).min(LONGEST_CHARS);
        let closed = self.char(at + digits) == '*';
        if run >= 2 && (2..=6).contains(&digits) && !closed {
            self.out.push_str(" XXXX");
            self.at = at;
            return;
        }
        // Free between numbers it multiplies ("2 * 3"); where it hugs a word it is emphasis.
        let free = run == 1 && self.char(self.at.wrapping_sub(1)) == ' ' && self.char(self.at + 1) == ' ';
        if free {
            self.out.push('×');
        }
        self.at += run;
    }

    /// Code ticks go; a fence takes the name of its language along.
    fn ticks(&mut self) {
        let run = self.run(self.at, |c| c == '`');
        self.at += run;
        if run >= 3 {
            let name = self.run(self.at, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '_')).min(20);
            if matches!(self.char(self.at + name), '\n' | '\0') {
                self.at += name;
            }
            self.out.push(' ');
        }
    }

    /// An escape: what it escapes is text; the two characters `\n` before a new sentence are a line break.
    fn backslash(&mut self) {
        let (next, after) = (self.char(self.at + 1), self.char(self.at + 2));
        if next == 'n' && !after.is_lowercase() {
            self.out.push('\n');
            self.at += 2;
            return;
        }
        self.at += 1;
        if matches!(next, '*' | '_' | '#' | '`' | '~') {
            self.at += 1;
            self.out.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let text = without_markup(text);
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }

    #[test]
    fn tags_links_and_tokens_go_and_their_words_stay() {
        assert_eq!(plain("<p>Hello <b>Rahul</b></p>"), "\nHello Rahul\n");
        assert_eq!(plain("[pay here](https://x.y) or [Rahul](/ɹɑhul/)"), "pay here or Rahul");
        assert_eq!(plain("Dear {{crm.name}} <<call.x>>, {% if %}ok{# no #}"), "Dear , ok");
        assert_eq!(plain("<|im_start|>hi<|im_end|> <!-- a --> ${x} {y}"), "hi y");
        assert_eq!(plain("<script>alert(1)</script>done"), "done");
    }

    #[test]
    fn markdown_leaves_its_words() {
        assert_eq!(plain("# Title\n- one\n- two\n\nNow **15000** `x`"), "Title\n one\n two\nNow 15000 x");
        assert_eq!(plain("```json\nhello\n```"), "hello");
    }

    #[test]
    fn stars_that_hide_digits_are_a_mask() {
        assert_eq!(plain("card ****1234"), "card XXXX1234");
        assert_eq!(plain("**1234**"), "1234");
    }

    #[test]
    fn what_is_not_closed_stays_text() {
        assert_eq!(plain("a < b"), "a < b");
        assert_eq!(plain("{{crm.name"), "crm.name");
        assert_eq!(plain("[a](b"), "a b");
    }
}
