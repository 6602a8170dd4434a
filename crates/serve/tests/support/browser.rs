//! Chromium by its DevTools protocol over two pipes; messages are JSON, each ended by a zero byte.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    next: u64,
    /// Messages of the page's console and its errors.
    pub console: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser without a window and opens a page.
    pub(crate) fn open(url: &str, downloads: &Path) -> Self {
        let file = option_env!("SEGAD_BROWSER_FILE").unwrap_or("chromium");
        let profile = tempfile::tempdir().unwrap();
        // The browser reads file descriptor 3 and writes 4.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            file,
        ]);
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--window-size=1400,1000",
            "--remote-debugging-pipe",
        ]);
        command
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, from) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(out).split(0) {
                let Ok(message) = message else { break };
                if send
                    .send(serde_json::from_slice(&message).unwrap())
                    .is_err()
                {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: None,
            next: 0,
            console: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        let downloads = json!({ "behavior": "allow", "downloadPath": downloads });
        browser.call("Browser.setDownloadBehavior", downloads);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Runtime.enable", json!({}));
        browser.call("Log.enable", json!({}));
        browser.call("Page.enable", json!({}));
        let size =
            json!({ "width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        browser.call("Page.navigate", json!({ "url": url }));
        browser.wait("document.body?.dataset.ready === 'yes'");
        browser
    }

    /// Calls a method and gives its result.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let sent = self
            .to
            .write_all(format!("{message}\0").as_bytes())
            .and_then(|()| self.to.flush());
        sent.unwrap_or_else(|e| {
            panic!("the browser does not listen ({e}); is it installed? SEGAD_BROWSER says which")
        });
        loop {
            let message = self.from.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|e| {
                panic!(
                    "{method}: the browser does not answer ({e}); is it installed? SEGAD_BROWSER says which"
                )
            });
            let told = message["method"].as_str();
            if let Some("Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded") =
                told
            {
                self.console.push(message["params"].to_string());
            }
            if message["id"] == json!(id) {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let wrapped = format!("(() => ({expression}))()");
        let asked = json!({ "expression": wrapped, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", asked);
        assert!(
            result.get("exceptionDetails").is_none(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&mut self, expression: &str) {
        let start = Instant::now();
        while self.eval(expression) != json!(true) {
            assert!(
                start.elapsed() < PATIENCE,
                "{expression} stays false; console: {:?}",
                self.console
            );
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// The middle of an element, in pixels of the window; scrolls to it first.
    pub(crate) fn middle(&mut self, selector: &str) -> [f64; 2] {
        let found = self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center'}}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        [found[0].as_f64().unwrap(), found[1].as_f64().unwrap()]
    }

    fn mouse(&mut self, kind: &str, [x, y]: [f64; 2], clicks: u32) {
        let button = if kind == "mouseMoved" && clicks == 0 {
            "none"
        } else {
            "left"
        };
        let held = u32::from(clicks > 0 && kind != "mouseReleased");
        let event = json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": held, "clickCount": clicks });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Presses, moves and releases the mouse, as a hand would.
    pub(crate) fn drag(&mut self, from: [f64; 2], to: [f64; 2]) {
        self.mouse("mouseMoved", from, 0);
        self.mouse("mousePressed", from, 1);
        for i in 1..=4 {
            let part = f64::from(i) / 4.0;
            self.mouse(
                "mouseMoved",
                [0, 1].map(|k| from[k] + (to[k] - from[k]) * part),
                1,
            );
        }
        self.mouse("mouseReleased", to, 1);
    }

    pub(crate) fn click_at(&mut self, at: [f64; 2]) {
        self.mouse("mouseMoved", at, 0);
        self.mouse("mousePressed", at, 1);
        self.mouse("mouseReleased", at, 1);
    }

    pub(crate) fn click(&mut self, selector: &str) {
        let at = self.middle(selector);
        self.click_at(at);
    }

    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key, "code": key }),
            );
        }
    }

    /// Puts text into a field and tells the page, as leaving the field does.
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        let text = json!(text);
        self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.value = {text}; \
             e.dispatchEvent(new Event('input', {{bubbles: true}})); e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"
        ));
    }

    /// Chooses a file in a file field.
    pub(crate) fn choose(&mut self, selector: &str, file: &Path) {
        let document = self.call("DOM.getDocument", json!({}));
        let root = &document["root"]["nodeId"];
        let node = self.call(
            "DOM.querySelector",
            json!({ "nodeId": root, "selector": selector }),
        );
        self.call(
            "DOM.setFileInputFiles",
            json!({ "files": [file], "nodeId": node["nodeId"] }),
        );
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own word first, so that its children end too.
        let _ = self
            .to
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
