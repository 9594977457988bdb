//! The picture: what is used of the sum of limits, what callers see fail, and what the provider refuses, over the load. Its
//! colours can be read on light and on dark ground.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use crate::report::Row;
use crate::simulation::{Kind, Tells};

const GREY: &str = "#7d8590";
/// Who is drawn, how, and what it is called.
const LINES: [(Kind, &str, &str, &str); 6] = [
    (Kind::Ideal, GREY, "2 3", "ideal"),
    (Kind::Told, "#3fb950", "", "key-commune, told"),
    (Kind::Pool(Tells::Refusals), "#2f81f7", "6 3", "key-commune, hidden"),
    (Kind::Retrying, "#d29922", "", "round robin, 3 retries"),
    (Kind::RoundRobin, "#bf7fd1", "", "round robin"),
    (Kind::OneKey, "#e5534b", "", "one key"),
];

/// Width and height of a panel, and the space around it.
const PANEL: (f64, f64) = (215.0, 170.0);
const MARGIN: (f64, f64) = (46.0, 34.0);
/// From the left edge of one panel to that of the next.
const PITCH: f64 = PANEL.0 + MARGIN.0 + 14.0;
const LOADS: (f64, f64) = (0.5, 2.0);

pub(crate) fn write(path: &Path, rows: &[Row]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, draw(rows))
}

fn draw(rows: &[Row]) -> String {
    let (width, height) = (3.0 * PITCH, PANEL.1 + 2.0 * MARGIN.1 + 40.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"{GREY}\">\n"
    );
    svg.push_str("<title>Used limits, failed requests and refused calls over the offered load, 10 keys</title>\n");
    panel(&mut svg, 0.0, "limits used, % of their sum", rows, |row| row.figures.used());
    panel(&mut svg, PITCH, "requests that callers see fail, %", rows, |row| 1.0 - row.figures.success());
    panel(&mut svg, 2.0 * PITCH, "calls that the provider refuses, %", rows, |row| row.figures.wasted());
    legend(&mut svg, height - 12.0);
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, title: &str, rows: &[Row], value: impl Fn(&Row) -> f64) {
    let (x, y) = (left + MARGIN.0, MARGIN.1);
    let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
    text(svg, (0.0, -14.0), "start", title);
    for tick in 0..=4_u8 {
        let share = f64::from(tick) / 4.0;
        let height = place(LOADS.0, share).1;
        let _ = writeln!(svg, "<path d=\"M0 {height:.1}H{:.1}\" stroke=\"{GREY}\" stroke-opacity=\"0.3\"/>", PANEL.0);
        text(svg, (-6.0, height + 4.0), "end", &format!("{}", share * 100.0));
    }
    for load in [0.5, 1.0, 1.5, 2.0] {
        text(svg, (place(load, 0.0).0, PANEL.1 + 16.0), "middle", &format!("{}%", load * 100.0));
    }
    text(svg, (PANEL.0 / 2.0, PANEL.1 + 31.0), "middle", "offered load, of the sum of limits");
    for (kind, colour, dashes, _) in LINES {
        let row = rows.iter().filter(|row| row.kind == kind);
        line(svg, (colour, dashes), row.map(|row| place(row.load, value(row))));
    }
    svg.push_str("</g>\n");
}

/// Where in a panel a share stands over a load.
fn place(load: f64, share: f64) -> (f64, f64) {
    ((load - LOADS.0) / (LOADS.1 - LOADS.0) * PANEL.0, (1.0 - share) * PANEL.1)
}

fn line(svg: &mut String, (colour, dashes): (&str, &str), points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let points = points.join(" ");
    let _ = writeln!(
        svg,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>"
    );
}

fn legend(svg: &mut String, y: f64) {
    let mut x = MARGIN.0;
    for (_, colour, dashes, name) in LINES {
        line(svg, (colour, dashes), [(x, y - 4.0), (x + 20.0, y - 4.0)].into_iter());
        text(svg, (x + 25.0, y), "start", name);
        x += 45.0 + 6.0 * name.len() as f64;
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}
