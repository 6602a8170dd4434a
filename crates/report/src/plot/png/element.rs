//! Reads back what a canvas writes: one element a line, attributes in double quotes, hints as
//! `<title>` inside.

/// One element.
pub(super) struct Element<'a> {
    pub name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    /// Its text without the hint, unescaped.
    pub text: String,
}

/// All elements of a drawing.
pub(super) fn elements(body: &str) -> Result<Vec<Element<'_>>, String> {
    body.lines()
        .filter(|line| !line.is_empty())
        .map(Element::read)
        .collect()
}

impl<'a> Element<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        let fault = || format!("{line:?}: expected one element per line");
        let rest = line.strip_prefix('<').ok_or_else(fault)?;
        let (name, mut rest) = rest.split_at(rest.find([' ', '/', '>']).ok_or_else(fault)?);
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(inside) = rest.strip_prefix('>') {
                let (text, _) = inside
                    .rsplit_once(&format!("</{name}>"))
                    .ok_or_else(fault)?;
                let text = text.split("<title>").next().unwrap_or_default();
                return Ok(Self {
                    name,
                    attributes,
                    text: unescape(text),
                });
            }
            if rest.starts_with("/>") {
                return Ok(Self {
                    name,
                    attributes,
                    text: String::new(),
                });
            }
            let (key, after) = rest.split_once("=\"").ok_or_else(fault)?;
            let (value, after) = after.split_once('"').ok_or_else(fault)?;
            attributes.push((key, value));
            rest = after;
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    pub(crate) fn number(&self, name: &str) -> Result<f32, String> {
        let text = self
            .get(name)
            .ok_or_else(|| format!("a {} without {name}", self.name))?;
        text.parse()
            .map_err(|_| format!("{name}={text:?} of a {}: expected a number", self.name))
    }

    /// As [`Element::number`], for an attribute that may be left out.
    pub(crate) fn number_or(&self, name: &str, default: f32) -> Result<f32, String> {
        match self.get(name) {
            Some(_) => self.number(name),
            None => Ok(default),
        }
    }

    /// Lengths of strokes and gaps in turn; none for a whole line.
    pub(crate) fn dashes(&self, scale: f32) -> Result<Vec<f32>, String> {
        let Some(list) = self.get("stroke-dasharray") else {
            return Ok(Vec::new());
        };
        let lengths = list.split(' ').map(str::parse::<f32>);
        lengths
            .map(|length| Ok(length.map_err(|_| format!("dashes {list:?}"))? * scale))
            .collect()
    }

    /// Degrees of `rotate(degrees x y)` around the text's own place.
    pub(crate) fn rotation(&self) -> Result<f32, String> {
        let Some(text) = self.get("transform") else {
            return Ok(0.0);
        };
        let degrees = text
            .strip_prefix("rotate(")
            .and_then(|t| t.split(' ').next()?.parse().ok());
        degrees.ok_or_else(|| format!("transform {text:?}"))
    }

    /// The points of `d`, made of `M`, `L`, `l` and `Z`, and whether it is closed.
    pub(crate) fn path(&self) -> Result<(Vec<(f32, f32)>, bool), String> {
        let d = self.get("d").ok_or("a path without d")?;
        let fault = || format!("path {d:?}");
        let mut points: Vec<(f32, f32)> = Vec::new();
        let mut rest = d;
        let mut closed = false;
        while let Some(command) = rest.chars().next() {
            rest = &rest[command.len_utf8()..];
            let end = rest.find(char::is_alphabetic).unwrap_or(rest.len());
            let (numbers, after) = rest.split_at(end);
            rest = after;
            if command == 'Z' {
                closed = true;
                continue;
            }
            // A sign separates numbers as a blank does.
            let numbers = numbers.replace('-', " -");
            let numbers: Vec<f32> = numbers
                .split_whitespace()
                .map(|t| t.parse().map_err(|_| fault()))
                .collect::<Result<_, _>>()?;
            let &[x, y] = numbers.as_slice() else {
                return Err(fault());
            };
            let (x0, y0) = match command {
                'M' | 'L' => (0.0, 0.0),
                'l' => *points.last().ok_or_else(fault)?,
                _ => return Err(fault()),
            };
            points.push((x0 + x, y0 + y));
        }
        Ok((points, closed))
    }
}

fn unescape(text: &str) -> String {
    let mut text = text.to_owned();
    for (escaped, plain) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(escaped, plain);
    }
    text
}
