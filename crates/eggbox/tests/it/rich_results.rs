//! What an execution of `/v1` results in beside text: values and displays as MIME bundles, figures, exceptions, input that
//! comes with the request. From the real packages, and checked by decoding.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::client;
use crate::server::{Server, Setup};
use crate::workloads;

/// A session whose executions are looked at.
struct Notebook<'a> {
    server: &'a Server,
    id: String,
}

impl<'a> Notebook<'a> {
    fn new(server: &'a Server) -> Self {
        let created = server.create("{}");
        assert_eq!(created.status, 201, "{created:?}");
        Self { server, id: created.id().to_owned() }
    }

    fn post(&self, body: &Value) -> Value {
        let path = format!("/v1/sessions/{}/executions", self.id);
        let answer = client::send(self.server.address, &client::post_to(&path, &body.to_string()));
        assert!((200..300).contains(&answer.status), "{answer:?}");
        answer.json
    }

    fn run(&self, code: &str) -> Value {
        self.post(&json!({ "code": code }))
    }

    /// Runs code that must succeed and say nothing; returns its result's data.
    fn result(&self, code: &str) -> Value {
        let execution = self.run(code);
        assert_eq!(execution["stderr"].as_str().unwrap_or_default(), "", "{code}: {execution}");
        execution["result"]["data"].clone()
    }

    /// The same for the data of its displays.
    fn displays(&self, code: &str) -> Vec<Value> {
        let execution = self.run(code);
        assert_eq!(execution["stderr"].as_str().unwrap_or_default(), "", "{code}: {execution}");
        displays(&execution).iter().map(|display| display["data"].clone()).collect()
    }
}

fn displays(execution: &Value) -> &[Value] {
    execution["displays"].as_array().map_or(&[], Vec::as_slice)
}

/// With the packages of the tests, nothing preloaded: libraries are met as the code imports them.
fn packages() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let setup = Setup::with_python(&workloads::python());
        setup.option("--idle-seconds-max 60 --wall-seconds-max 60").start_shared()
    })
}

fn text<'a>(data: &'a Value, mime: &str) -> &'a str {
    data[mime].as_str().unwrap_or_else(|| panic!("no text as {mime}: {data}"))
}

/// What Pillow makes of a picture in base64: format, size, and whether it has more than one colour.
fn decoded(picture: &str) -> String {
    let code = format!(
        "import base64, io\nfrom PIL import Image\n\
         image = Image.open(io.BytesIO(base64.b64decode({picture:?}, validate=True))); image.load()\n\
         print(image.format, *image.size, len(set(image.convert('L').getextrema())) > 1)"
    );
    packages().session().print(&code)
}

#[test]
fn the_last_expression_is_the_result_unless_it_is_nothing_or_silenced() {
    let server = Server::bare();
    let notebook = Notebook::new(&server);
    for (code, expected) in [
        ("6 * 7", "42"),
        ("x = [1, 'é']\nx", "[1, 'é']"),
        ("(1,\n 2)  # ;\n", "(1, 2)"),
        ("'a;b'", "'a;b'"),
        ("import asyncio\nawait asyncio.sleep(0, 5)", "5"),
    ] {
        assert_eq!(notebook.result(code), json!({ "text/plain": expected }), "{code}");
    }
    for code in ["None", "y = 1", "6 * 7;", "6 * 7 ;  # quiet", "if True: 5", "print(1)"] {
        let execution = notebook.run(code);
        assert!(execution["result"].is_null() && displays(&execution).is_empty(), "{code}: {execution}");
    }
}

#[test]
fn without_v1_nothing_of_it_is_there() {
    let server = Server::bare();
    let session = server.session();
    assert_eq!(session.run("6 * 7").keys(), ["id"]);
    assert!(session.run("display(1)").stderr().contains("NameError"));
    // Where IPython is not installed, what stands in for it is gone.
    let notebook = Notebook::new(&server);
    notebook.run("from IPython.display import HTML");
    let code =
        "try:\n    import IPython\n    print(IPython.__file__ is not None)\nexcept ImportError:\n    print(True)";
    assert_eq!(server.run_in(&notebook.id, code).stdout(), "True\n");
}

#[test]
fn objects_are_asked_by_the_conventions_of_notebooks() {
    let server = Server::bare();
    let notebook = Notebook::new(&server);
    let code = "\
class Everything:
    def _repr_html_(self): return '<b>é</b>', {'isolated': True}
    def _repr_png_(self): return b'\\x89PNG'
    def _repr_svg_(self): return '<svg/>'
    def _repr_latex_(self): return '$x$'
    def _repr_markdown_(self): return '*x*'
    def _repr_json_(self): return {'a': [1, float('nan')]}
    def _repr_javascript_(self): 1 / 0
    def __repr__(self): return 'everything'
Everything()";
    let execution = notebook.run(code);
    let expected = json!({
        "text/plain": "everything", "text/html": "<b>é</b>", "image/png": "iVBORw==", "image/svg+xml": "<svg/>",
        "text/latex": "$x$", "text/markdown": "*x*", "application/json": { "a": [1, null] }
    });
    assert_eq!(execution["result"]["data"], expected);
    assert_eq!(execution["result"]["metadata"], json!({ "text/html": { "isolated": true } }));
    let bundle = "class B:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n        \
                  return {'application/x+json': {'k': 1}}, {'application/x+json': {'m': 2}}\nB()";
    let execution = notebook.run(bundle);
    assert_eq!(execution["result"]["data"]["application/x+json"], json!({ "k": 1 }));
    assert_eq!(execution["result"]["metadata"], json!({ "application/x+json": { "m": 2 } }));
    let failing = "class F:\n    def __repr__(self): raise ValueError('x')\nF()";
    assert!(text(&notebook.result(failing), "text/plain").contains("repr fails: ValueError"));
}

#[test]
fn displays_come_in_order_and_can_be_updated() {
    let server = Server::bare();
    let notebook = Notebook::new(&server);
    let execution = notebook.run("display(1, 2)\nhandle = display(3, display_id='mine')\nhandle.update(4)\n5");
    let shown: Vec<_> = displays(&execution).iter().map(|display| text(&display["data"], "text/plain")).collect();
    assert_eq!((shown, text(&execution["result"]["data"], "text/plain")), (vec!["1", "2", "3", "4"], "5"));
    let last = &displays(&execution)[3];
    assert_eq!([&last["display_id"], &last["update"]], [&json!("mine"), &json!(true)], "{execution}");
    let raw = notebook.displays("display({'text/html': 'h', 'image/png': b'1'}, raw=True)");
    assert_eq!(raw, [json!({ "text/html": "h", "image/png": "MQ==" })]);
}

#[test]
fn what_is_too_long_is_left_out_or_cut_and_flagged() {
    let server = Server::bare();
    let notebook = Notebook::new(&server);
    let execution =
        notebook.run("display({'text/html': 'x' * 5_000_000, 'text/plain': 'p'}, raw=True)\n'é' * 1_000_000");
    let display = &displays(&execution)[0];
    assert_eq!(display["data"], json!({ "text/plain": "p" }));
    assert_eq!(display["omitted"], json!({ "text/html": 5_000_000 }));
    assert_eq!(execution["result"]["truncated"], json!({ "text/plain": 2_000_002 }));
    assert!(text(&execution["result"]["data"], "text/plain").starts_with("'éé"), "it is cut, not left out");
}

#[test]
fn ipython_display_works_with_and_without_ipython() {
    let bare = Server::bare();
    for server in [&*bare, packages()] {
        let notebook = Notebook::new(server);
        let code = "from IPython.display import HTML, JSON, Image, Latex, Markdown, SVG, clear_output, display as show\n\
                    show(HTML('<b>b</b>'), Markdown('*m*'), JSON({'a': 1}), Latex('$x$'))";
        let shown = notebook.displays(code);
        assert_eq!([text(&shown[0], "text/html"), text(&shown[1], "text/markdown")], ["<b>b</b>", "*m*"]);
        assert_eq!([&shown[2]["application/json"], &shown[3]["text/latex"]], [&json!({ "a": 1 }), &json!("$x$")]);
        let updated = notebook.run("handle = show(1, display_id=True); handle.update(HTML('u')); clear_output()");
        let [first, second] = displays(&updated) else { panic!("two displays: {updated}") };
        assert!(first["display_id"].is_string() && first["display_id"] == second["display_id"], "{updated}");
        assert_eq!(text(&second["data"], "text/html"), "u");
    }
}

#[test]
fn open_figures_are_pictures_once_and_closed() {
    let server = Server::data();
    let notebook = Notebook::new(&server);
    let code = "import matplotlib.pyplot as plt\nplt.figure(); plt.plot([1, 3, 2]); plt.title('é')\nplt.show()\n\
                plt.figure(); plt.bar([1, 2], [2, 1])\nNone";
    let shown = notebook.displays(code);
    assert_eq!(shown.len(), 2, "{shown:?}");
    for data in &shown {
        let told = decoded(text(data, "image/png"));
        let parts: Vec<_> = told.split_whitespace().collect();
        let [kind, width, height, has_colours] = parts[..] else { panic!("{told}") };
        let [width, height] = [width, height].map(|pixels| pixels.parse::<u32>().expect("a size is a number"));
        assert_eq!((kind, has_colours), ("PNG", "True"), "{told}");
        assert!((400..700).contains(&width) && (300..550).contains(&height), "{told}");
    }
    assert_eq!(notebook.run("print(plt.get_fignums())")["stdout"], "[]\n");
    let failed = notebook.run("plt.plot([1, 2])\n1 / 0");
    assert_eq!((displays(&failed).len(), &failed["exception"]["type"]), (1, &json!("ZeroDivisionError")), "{failed}");
    // As it is the result, it is not shown once more.
    let result = notebook.run("figure, axes = plt.subplots()\naxes.plot([1, 2])\nfigure");
    assert!(displays(&result).is_empty() && result["result"]["data"]["image/png"].is_string(), "{result}");
}

#[test]
fn figures_are_svg_on_request() {
    let server = Server::data();
    let notebook = Notebook::new(&server);
    let asked = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 2])\n\
                 display(figure, include=['image/svg+xml'])\nplt.close()";
    let shown = notebook.displays(asked);
    assert!(text(&shown[0], "image/svg+xml").contains("<svg") && shown[0]["image/png"].is_null(), "{shown:?}");
    let set = notebook.displays("plt.rcParams['savefig.format'] = 'svg'\nplt.plot([1, 2]);");
    assert!(text(&set[0], "image/svg+xml").contains("<svg") && set[0]["image/png"].is_string(), "{set:?}");
}

#[test]
fn a_pandas_table_is_html_and_text() {
    let server = Server::data();
    let data = Notebook::new(&server).result("import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', '<y>']})");
    let html = text(&data, "text/html");
    assert!(html.contains("<table") && html.contains("<th>b</th>") && html.contains("<td>&lt;y&gt;</td>"), "{html}");
    assert_eq!(text(&data, "text/plain"), "   a    b\n0  1    x\n1  2  <y>");
}

#[test]
fn a_pillow_image_is_a_png_of_its_size() {
    let notebook = Notebook::new(packages());
    let code =
        "from PIL import Image\nimage = Image.new('RGB', (30, 20), 'red'); image.putpixel((0, 0), (0, 0, 255))\nimage";
    assert_eq!(decoded(text(&notebook.result(code), "image/png")), "PNG 30 20 True\n");
    assert_eq!(notebook.displays("image.show()").len(), 1);
}

#[test]
fn plotly_and_altair_come_by_their_own_types() {
    let notebook = Notebook::new(packages());
    let figure = "import plotly.graph_objects as go\nfigure = go.Figure(go.Bar(x=['a', 'b'], y=[1, 2]))\nfigure";
    let plotly = "application/vnd.plotly.v1+json";
    let data = notebook.result(figure);
    assert_eq!([&data[plotly]["data"][0]["type"], &data[plotly]["data"][0]["x"]], [&json!("bar"), &json!(["a", "b"])]);
    assert_eq!(notebook.displays("figure.show()")[0][plotly]["data"][0]["type"], "bar");
    let chart = "import altair as alt, pandas as pd\n\
                 chart = alt.Chart(pd.DataFrame({'a': [1, 2]})).mark_bar().encode(x='a')\nchart";
    let data = notebook.result(chart);
    let of_vega = |mime: &&String| mime.starts_with("application/vnd.vegalite.v");
    let mime = data.as_object().and_then(|data| data.keys().find(of_vega)).expect("a chart has its type");
    assert_eq!(data[mime]["mark"]["type"], "bar", "{data}");
    assert!(data[mime]["$schema"].as_str().is_some_and(|schema| schema.contains("vega-lite")), "{data}");
    assert!(notebook.displays("chart.show()")[0][mime].is_object());
}

#[test]
fn an_exception_has_the_users_frames() {
    let server = Server::bare();
    let notebook = Notebook::new(&server);
    let execution = notebook.run("def f(x):\n    return 1 / x\n\nf(0)");
    let exception = &execution["exception"];
    assert_eq!([&exception["type"], &exception["message"]], [&json!("ZeroDivisionError"), &json!("division by zero")]);
    let frames: Vec<_> = exception["frames"].as_array().expect("there are frames").iter().collect();
    let told = |frame: &Value| [frame["line"].clone(), frame["function"].clone(), frame["source"].clone()];
    assert_eq!(told(frames[0]), [json!(4), json!("<module>"), json!("f(0)")]);
    assert_eq!((frames.len(), told(frames[1])), (2, [json!(2), json!("f"), json!("return 1 / x")]));
    assert!(execution["stderr"].as_str().is_some_and(|text| text.contains("Traceback")), "{execution}");
    let deep = notebook.run("def g(): g()\ng()");
    assert_eq!(deep["exception"]["frames"].as_array().map(Vec::len), Some(40), "{deep}");
    assert!(deep["exception"]["omitted_frames"].as_u64().is_some_and(|count| count > 100), "{deep}");
    let chained = notebook.run("try:\n    1 / 0\nexcept Exception as error:\n    raise ValueError('v') from error");
    assert_eq!(chained["exception"]["cause"], json!({ "type": "ZeroDivisionError", "message": "division by zero" }));
    let syntax = &notebook.run("x = (1 +* 2)")["exception"];
    assert_eq!(
        [&syntax["type"], &syntax["line"], &syntax["text"]],
        [&json!("SyntaxError"), &json!(1), &json!("x = (1 +* 2)\n")]
    );
    assert!(syntax["offset"].is_u64(), "{syntax}");
}

#[test]
fn input_that_comes_with_the_request_is_read_by_everything_and_gone_afterwards() {
    let server = Server::bare();
    let notebook = Notebook::new(&server);
    let run = |code: &str, stdin: &str| notebook.post(&json!({ "code": code, "stdin": stdin }));
    assert_eq!(run("print(input(), input())", "a\né\n")["stdout"], "a é\n");
    assert_eq!(run("import sys; print(len(sys.stdin.read()))", &"x".repeat(300_000))["stdout"], "300000\n");
    let inherited = "import os, subprocess\nprint(os.read(0, 2), subprocess.run(['cat'], capture_output=True).stdout)";
    assert_eq!(run(inherited, "abcd")["stdout"], "b'ab' b'cd'\n");
    assert_eq!(run("input()\ninput()", "one\n")["exception"]["type"], "EOFError");
    let after = notebook.run("print(os.read(0, 9))\ninput()");
    assert_eq!((&after["stdout"], &after["exception"]["type"]), (&json!("b''\n"), &json!("EOFError")));
}
