//! The page in a real browser. Where none is installed these tests are shown as ignored;
//! `SEGAD_BROWSER=required` makes them fail instead, `SEGAD_BROWSER=none` leaves them out,
//! `SEGAD_BROWSER=/path` names one. See docs/http-api.md.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a panic is how a test fails, in its helpers too; tests read clocks and files and say what they measured"
)]

#[path = "support/browser.rs"]
mod devtools;
mod support;

use devtools::Browser;
use segad_segments::Shapes;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{NASTY, Running, grey};

/// A file in the folder, once it is there in whole.
fn saved(folder: &Path) -> PathBuf {
    let start = Instant::now();
    loop {
        let found = std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().path());
        if let Some(file) = found
            .into_iter()
            .find(|f| f.extension().is_some_and(|e| e == "toml"))
        {
            return file;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing was saved"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Nothing was refused by the policy, nothing threw.
fn quiet(browser: &mut Browser) {
    browser.eval("1"); // what was said before is here now
    let said: Vec<&String> = browser
        .console
        .iter()
        .filter(|m| !m.contains("good/9.png") && !m.contains("items/9/"))
        .collect();
    assert!(said.is_empty(), "{said:#?}");
    assert_eq!(
        browser.eval("document.querySelector('#problem').hidden"),
        json!(true)
    );
}

#[test]
#[cfg_attr(
    not(segad_browser),
    ignore = "no browser is installed, or SEGAD_BROWSER=none"
)]
fn the_threshold_is_dragged_and_counts_follow() {
    let server = Running::quick();
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::open(&format!("http://{}/", server.address), folder.path());
    let counts =
        "[...document.querySelectorAll('#counts tbody tr')].map((r) => r.cells[1].textContent)";
    // The run's own threshold is 0.45.
    browser.wait(&format!("{counts}.join() === '5 of 10,4 of 5,4 of 9'"));
    assert_eq!(
        browser.eval("document.querySelectorAll('#grid button').length"),
        json!(15)
    );
    let first = "document.querySelector('#grid button span').textContent";
    assert_eq!(
        browser.eval(first),
        json!("good/9.png"),
        "the highest score comes first"
    );

    // From 0.45 to 0.75 on an axis from 0 to 0.9.
    let from = browser.middle("#histogram .handle rect");
    let width = browser
        .eval("document.querySelector('#histogram').getBoundingClientRect().width")
        .as_f64()
        .unwrap();
    let to = [from[0] + width * 576.0 / 600.0 * 0.3 / 0.9, from[1]];
    browser.drag(from, to);
    browser.wait(&format!("{counts}.join() === '2 of 10,1 of 5,1 of 3'"));
    let at = browser
        .eval("document.querySelector('#threshold').valueAsNumber")
        .as_f64()
        .unwrap();
    assert!((at - 0.75).abs() < 0.02, "{at}");
    // Of 2 of 10: scipy.stats.beta.ppf(0.025, 2, 9), ppf(0.975, 3, 8).
    let interval = "document.querySelector('#counts tbody tr').cells[3].textContent";
    assert_eq!(browser.eval(interval), json!("2.5 % to 55.6 %"));
    let groups = "[...document.querySelectorAll('#groups tbody tr')].map((r) => [r.cells[0].textContent.trim(), r.cells[1].textContent])";
    let expected = json!([
        ["good (good)", "2 of 10"],
        [format!("{NASTY} (bad)"), "0 of 1"],
        ["crack (bad)", "1 of 4"]
    ]);
    assert_eq!(browser.eval(groups), expected);
    assert_eq!(
        browser.eval("document.querySelector('#auroc').textContent.slice(0, 12)"),
        json!("AUROC 59.0 %")
    );

    // A group that does not count.
    browser.click("#groups tbody tr:nth-child(2) input");
    browser.wait(&format!("{counts}.join() === '2 of 10,1 of 4,1 of 3'"));
    browser.wait("document.querySelector('#auroc').textContent.startsWith('AUROC 70.0 %')");
    browser.eval("document.querySelector('#histogram .handle').focus()");

    // Keys do the same, a little at a time.
    browser.press("ArrowLeft");
    browser.wait(&format!(
        "document.querySelector('#threshold').valueAsNumber < {at}"
    ));

    browser.fill("#filter-verdict", "missed");
    browser.wait("document.querySelector('#shown').textContent === '4 of 15 images'");
    browser.fill("#filter-group", "=crack");
    browser.wait("document.querySelector('#shown').textContent === '3 of 15 images'");
    browser.fill("#filter-verdict", "");
    browser.fill("#filter-group", "");

    // One image in detail, its layers over one another.
    browser.click("#grid button:nth-child(2)");
    browser.wait("document.querySelector('#detail').open && [...document.querySelectorAll('#detail-stack img')].every((i) => i.complete)");
    let layers =
        "[...document.querySelectorAll('#detail-stack img')].map((i) => [i.alt, i.naturalWidth])";
    assert_eq!(browser.eval(layers), json!([["photo", 60], ["heat", 60]]));
    browser.click("#detail-layers label:nth-child(2) input[type=checkbox]");
    browser.wait("document.querySelectorAll('#detail-stack img')[1].hidden");
    quiet(&mut browser);
}

#[test]
#[cfg_attr(
    not(segad_browser),
    ignore = "no browser is installed, or SEGAD_BROWSER=none"
)]
fn segments_are_drawn_and_saved() {
    let server = Running::quick();
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::open(
        &format!("http://{}/#segments", server.address),
        folder.path(),
    );
    let reference = folder.path().join("reference.png");
    std::fs::write(&reference, grey(200, 90)).unwrap();
    browser.choose("#reference", &reference);
    browser.wait("document.querySelector('#width').value === '200' && document.querySelector('#canvas image') !== null");

    let box_ = browser.eval(
        "(() => { const m = document.querySelector('#canvas').getScreenCTM(); return [m.a, m.e, m.f]; })()",
    );
    let n = |i: usize| box_[i].as_f64().unwrap();
    let on = |x: f64, y: f64| [n(0) * x + n(1), n(0) * y + n(2)];

    // Three segments: a rectangle, a ring over it, a polygon over both.
    for (label, name) in [(1, "plate"), (2, NASTY), (3, "corner")] {
        browser.click("#add");
        browser.fill(
            &format!("#names tbody tr:nth-child({}) input[size]", label + 1),
            name,
        );
    }
    let draw = |browser: &mut Browser, tool: &str, segment: &str| {
        browser.click(&format!("#tools input[value={tool}]"));
        browser.fill("#paint", segment);
        browser.eval("scrollTo(0, 0)");
    };
    draw(&mut browser, "rectangle", "plate");
    browser.drag(on(20.0, 20.0), on(180.0, 120.0));
    browser.wait("document.querySelectorAll('#canvas .shape').length === 1");
    draw(&mut browser, "ring", NASTY);
    browser.drag(on(60.0, 40.0), on(140.0, 100.0));
    browser.wait("document.querySelectorAll('#canvas .shape').length === 2");
    assert_eq!(
        browser.eval("document.querySelector('#save').disabled"),
        json!(true),
        "corner is empty yet"
    );
    draw(&mut browser, "polygon", "corner");
    for [x, y] in [[150.0, 150.0], [190.0, 150.0], [190.0, 190.0]] {
        browser.click_at(on(x, y));
    }
    browser.press("Enter");
    browser.wait("document.querySelectorAll('#canvas .shape').length === 3");
    browser.wait("!document.querySelector('#save').disabled");

    // What the page says is covered is what the shapes cover.
    let covers = browser.eval(
        "[...document.querySelectorAll('#names .covers')].map((c) => parseFloat(c.textContent))",
    );
    let ring = std::f64::consts::PI * 40.0 * 30.0 * (1.0 - 0.36) / 400.0;
    for (label, share) in [
        (1, 160.0 * 100.0 / 400.0 - ring),
        (2, ring),
        (3, 800.0 / 400.0),
    ] {
        let found = covers[label].as_f64().unwrap();
        assert!(
            (found - share).abs() < 1.5,
            "segment {label} covers {found} %, drawn were {share} %"
        );
    }

    // Moved by hand and back by undo.
    browser.click("#tools input[value=select]");
    browser.eval("scrollTo(0, 0)");
    browser.drag(on(30.0, 110.0), on(30.0, 130.0));
    browser.wait("Number(document.querySelectorAll('#fields input')[1].value) > 30");
    browser.click("#undo");
    browser.wait("document.querySelector('#undo') && !document.querySelector('#save').disabled");

    // Painted first, the ring vanishes under the plate, and a fit would not take that.
    browser.click("#shapes tbody tr:nth-child(2) button[aria-label*=earlier]");
    browser.wait("document.querySelector('#shapes-problem').textContent.includes('has no pixel')");
    assert_eq!(
        browser.eval("document.querySelector('#save').disabled"),
        json!(true)
    );
    browser.click("#shapes tbody tr:nth-child(1) button[aria-label*=later]");
    browser.wait("!document.querySelector('#save').disabled");
    browser.click("#painted");
    browser.wait("document.querySelector('#canvas image.painted') !== null");

    browser.fill("#title", "../../My plate <1>");
    browser.wait("document.querySelector('#toml').textContent.includes('My plate') && !document.querySelector('#save').disabled");
    browser.click("#save");
    let file = saved(folder.path());
    assert_eq!(file.file_name().unwrap(), "My-plate-1.toml");
    let shapes = Shapes::read(&file).unwrap();
    assert_eq!(shapes.title(), "../../My plate <1>");
    assert_eq!(shapes.names(), ["background", "plate", NASTY, "corner"]);
    let map = shapes.rasterise(256, 256).unwrap();
    let at = |x: usize, y: usize| map.labels()[(y * 256 / 200) * 256 + x * 256 / 200];
    assert_eq!(
        [
            at(100, 110),
            at(65, 70),
            at(100, 70),
            at(180, 160),
            at(5, 5)
        ],
        [1, 2, 1, 3, 0]
    );

    // And it opens again.
    browser.choose("#open", &file);
    browser.wait("document.querySelectorAll('#canvas image.painted').length === 1 && document.querySelectorAll('#shapes tbody tr').length === 3");
    quiet(&mut browser);
}

#[test]
#[cfg_attr(
    not(segad_browser),
    ignore = "no browser is installed, or SEGAD_BROWSER=none"
)]
fn an_image_is_inspected_and_names_stay_text() {
    let server = Running::quick();
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::open(
        &format!("http://{}/#inspect", server.address),
        folder.path(),
    );
    let image = folder.path().join("image.png");
    std::fs::write(&image, grey(32, 204)).unwrap();
    browser.choose("#inspect-file", &image);
    browser.wait("document.querySelectorAll('#inspect-stack img').length === 3");
    let verdict = browser.eval("document.querySelector('#verdict').textContent");
    assert_eq!(
        verdict,
        json!("bad · score 0.8 · threshold 0.5 · probability of a defect 80.0 %")
    );
    browser.wait(
        "[...document.querySelectorAll('#inspect-stack img')].every((i) => i.naturalWidth === 32)",
    );

    // A run, a group and an image carry markup in their names: it is shown, and is nothing but
    // text.
    browser.eval("location.hash = '#gallery'");
    browser.wait("document.querySelectorAll('#grid button').length === 15");
    for selector in ["#run", "#filter-group", "#notes", "#groups", "#grid"] {
        let shown = browser.eval(&format!(
            "document.querySelector({selector:?}).textContent.includes({})",
            json!(NASTY)
        ));
        assert_eq!(shown, json!(true), "{selector}");
    }
    assert_eq!(browser.eval("document.title"), json!("segad"));
    assert_eq!(
        browser.eval("document.querySelectorAll('img[src=x]').length"),
        json!(0)
    );

    // And the policy would stop a script that got in.
    let injected = "(() => { const s = document.createElement('script'); try { s.text = 'document.title = 1'; document.body.append(s); } catch {} return document.title; })()";
    assert_eq!(browser.eval(injected), json!("segad"));
    let inline = "(() => { const d = document.createElement('div'); try { d.setAttribute('onclick', 'document.title = 2'); } catch {} d.click(); return document.title; })()";
    assert_eq!(browser.eval(inline), json!("segad"));
    let foreign = "fetch('http://example.com/').then(() => 'sent', () => 'refused')";
    assert_eq!(browser.eval(foreign), json!("refused"));

    // A file that is no image is refused in words.
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, b"GIF89a").unwrap();
    browser.eval("location.hash = '#inspect'");
    browser.choose("#inspect-file", &broken);
    browser.wait("document.querySelector('#problem').textContent.includes('GIF')");
}
