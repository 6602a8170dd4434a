//! The text of a recording: one assignment a line, whose right side is calls within calls.

use crate::error::{OnnxError, Result};

/// What stands on the right side of an assignment, or in a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression<'a> {
    /// A value that was assigned before, or the argument.
    Name(&'a str),
    /// A stored tensor.
    Constant(usize),
    Number(f64),
    Bool(bool),
    None,
    List(Vec<Expression<'a>>),
    Call {
        /// Without `torch.`, and without the underscore of operations that overwrite their operand:
        /// no recorded value is read again after that.
        function: &'a str,
        arguments: Vec<Expression<'a>>,
        named: Vec<(&'a str, Expression<'a>)>,
    },
}

/// A line of a recording.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement<'a> {
    /// Names that are assigned; none in the line that returns.
    pub targets: Vec<&'a str>,
    pub value: Expression<'a>,
}

/// The name of the recorded function's argument, and its lines.
pub(crate) fn read(code: &str) -> Result<(&str, Vec<Statement<'_>>)> {
    let whole = |problem: &str| OnnxError::Statement {
        statement: "def forward".to_owned(),
        problem: problem.to_owned(),
    };
    let (_, body) = code
        .split_once("def forward(")
        .ok_or_else(|| whole("there is none"))?;
    let (signature, body) = body
        .split_once(") -> Tensor:\n")
        .ok_or_else(|| whole("it does not return a tensor"))?;
    let argument = signature
        .split(',')
        .nth(1)
        .and_then(|a| a.split(':').next());
    let argument = argument
        .ok_or_else(|| whole("it takes no argument"))?
        .trim();
    let lines = body.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok((argument, lines.map(statement).collect::<Result<_>>()?))
}

fn statement(line: &str) -> Result<Statement<'_>> {
    let (targets, value) = match line.strip_prefix("return ") {
        Some(value) => (Vec::new(), value),
        None => match line.split_once(" = ") {
            Some((targets, value)) => {
                let targets = targets.split(',').map(str::trim);
                (targets.filter(|t| !t.is_empty()).collect(), value)
            }
            None => return Err(wrong(line, "expected an assignment")),
        },
    };
    let mut rest = value;
    let parsed = expression(&mut rest).map_err(|problem| wrong(line, problem))?;
    if !rest.is_empty() {
        return Err(wrong(line, "something follows the value"));
    }
    let value = parsed;
    Ok(Statement { targets, value })
}

fn wrong(line: &str, problem: &str) -> OnnxError {
    OnnxError::Statement {
        statement: line.to_owned(),
        problem: problem.to_owned(),
    }
}

type Parsed<T> = std::result::Result<T, &'static str>;

fn expression<'a>(rest: &mut &'a str) -> Parsed<Expression<'a>> {
    if take(rest, "[") {
        return Ok(Expression::List(list(rest, "]")?));
    }
    // Texts only name devices.
    if take(rest, "\"") {
        let (_, tail) = rest.split_once('"').ok_or("a text without end")?;
        *rest = tail;
        return Ok(Expression::None);
    }
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || "_.+-".contains(c)))
        .unwrap_or(rest.len());
    let (word, tail) = rest.split_at(end);
    *rest = tail;
    if take(rest, "(") {
        return call(word, rest);
    }
    if let Some(number) = word.strip_prefix("CONSTANTS.c") {
        let number = number.parse().map_err(|_| "a constant without a number")?;
        return Ok(Expression::Constant(number));
    }
    Ok(match word {
        "" => return Err("expected a value"),
        "True" => Expression::Bool(true),
        "False" => Expression::Bool(false),
        "None" => Expression::None,
        word => match word.parse() {
            Ok(number) => Expression::Number(number),
            Err(_) => Expression::Name(word),
        },
    })
}

fn call<'a>(word: &'a str, rest: &mut &'a str) -> Parsed<Expression<'a>> {
    let mut arguments = Vec::new();
    let mut named = Vec::new();
    while !take(rest, ")") {
        let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        match word.map(|end| rest.split_at(end)) {
            Some((name, tail)) if tail.starts_with('=') => {
                *rest = &tail[1..];
                named.push((name, expression(rest)?));
            }
            _ => arguments.push(expression(rest)?),
        }
        if !take(rest, ", ") && !rest.starts_with(')') {
            return Err("expected a comma or the end of the call");
        }
    }
    let function = word.strip_prefix("torch.").unwrap_or(word);
    Ok(Expression::Call {
        function: function.trim_end_matches('_'),
        arguments,
        named,
    })
}

fn list<'a>(rest: &mut &'a str, end: &str) -> Parsed<Vec<Expression<'a>>> {
    let mut items = Vec::new();
    while !take(rest, end) {
        items.push(expression(rest)?);
        if !take(rest, ", ") && !rest.starts_with(end) {
            return Err("expected a comma or the end of the list");
        }
    }
    Ok(items)
}

fn take(rest: &mut &str, what: &str) -> bool {
    match rest.strip_prefix(what) {
        Some(tail) => {
            *rest = tail;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_recording_are_read() {
        let code = "class net(Module):\n  def forward(self: __torch__.net,\n    x: Tensor) -> Tensor:\n    \
                    _0 = torch.clamp_(torch.to(x, dtype=6, device=torch.device(\"cpu\")), 0., 6.5e-1)\n    \
                    _1, _2 = torch.max(CONSTANTS.c3, 1)\n    return torch.cat([_0, _2], -1)\n";
        let (argument, lines) = read(code).unwrap();
        assert_eq!((argument, lines.len()), ("x", 3));
        let Expression::Call {
            function,
            arguments,
            ..
        } = &lines[0].value
        else {
            panic!("{:?}", lines[0])
        };
        assert_eq!(
            (*function, &arguments[2]),
            ("clamp", &Expression::Number(0.65))
        );
        let Expression::Call { named, .. } = &arguments[0] else {
            panic!("{arguments:?}")
        };
        assert_eq!(named[0], ("dtype", Expression::Number(6.0)));
        assert_eq!(lines[1].targets, ["_1", "_2"]);
        let list = Expression::List(vec![Expression::Name("_0"), Expression::Name("_2")]);
        let expected = Expression::Call {
            function: "cat",
            arguments: vec![list, Expression::Number(-1.0)],
            named: Vec::new(),
        };
        assert_eq!((lines[2].targets.len(), &lines[2].value), (0, &expected));
    }

    #[test]
    fn anything_else_is_refused_with_its_line() {
        for (code, problem) in [
            ("x = 1", "there is none"),
            (
                "def forward(self,\n x: Tensor) -> Tuple[Tensor]:\n",
                "return a tensor",
            ),
            (
                "def forward(self,\n x: Tensor) -> Tensor:\n  if x:\n",
                "\"if x:\"",
            ),
            (
                "def forward(self,\n x: Tensor) -> Tensor:\n  y = f(x\n",
                "end of the call",
            ),
            (
                "def forward(self,\n x: Tensor) -> Tensor:\n  y = x x\n",
                "follows the value",
            ),
        ] {
            let error = read(code).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
