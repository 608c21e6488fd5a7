//! What real programs do with real packages, under the shipped policy and default limits.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::server::{Server, Setup};

/// The interpreter of the environment with `environments/test.txt`.
pub(crate) fn python() -> PathBuf {
    let named = std::env::var_os("EGGBOX_TEST_PACKAGES_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv-test/bin/python3"));
    assert!(python.exists(), "{} is missing: `make test` makes the environment", python.display());
    python
}

/// Each program runs in a session of its own and must print this, and nothing on stderr.
fn prints(code: &str, expected: &str) {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        // Nothing is preloaded: that a package can be imported behind the wall is part of what is tested.
        Setup::with_python(&python()).option("--idle-seconds-max 60 --wall-seconds-max 60").start_shared()
    });
    assert_eq!(server.session().print(code), expected);
}

#[test]
fn numpy_solves_with_its_blas() {
    prints(
        "import numpy as np\na = np.random.default_rng(1).random((300, 300))\nprint(np.allclose(a @ np.linalg.inv(a), np.eye(300)), np.fft.fft(np.ones(8))[0].real)",
        "True 8.0\n",
    );
}

#[test]
fn scipy_integrates_and_minimises() {
    prints(
        "from scipy import integrate, optimize, sparse\nprint(round(integrate.quad(lambda x: x**2, 0, 3)[0], 6), round(optimize.minimize(lambda x: (x[0] - 2)**2, [0]).x[0], 3), sparse.eye(3).sum())",
        "9.0 2.0 3.0\n",
    );
}

#[test]
fn pandas_merges_resamples_and_writes_parquet() {
    prints(
        "import pandas as pd\nleft = pd.DataFrame({'k': [1, 2], 'a': [3, 4]}); right = pd.DataFrame({'k': [2, 1], 'b': [5, 6]})\nmerged = left.merge(right, on='k'); merged.to_parquet('m.parquet')\nprint(pd.read_parquet('m.parquet').b.tolist(), pd.Series(range(4), pd.date_range('2026-01-01', periods=4, freq='12h')).resample('D').sum().tolist())",
        "[6, 5] [1, 5]\n",
    );
}

#[test]
fn matplotlib_draws_svg_and_pdf() {
    prints(
        // On a busy machine it may say that it takes long to look for fonts.
        "import logging; logging.getLogger('matplotlib.font_manager').setLevel(logging.ERROR)\nimport matplotlib.pyplot as plt, os\nplt.plot([1, 3, 2]); plt.savefig('p.svg'); plt.savefig('p.pdf')\nprint(open('p.svg').read(5), open('p.pdf', 'rb').read(5), os.path.getsize('p.pdf') > 2000)",
        "<?xml b'%PDF-' True\n",
    );
}

#[test]
fn scikit_learn_fits_in_processes_and_threads() {
    prints(
        "from sklearn.datasets import load_iris\nfrom sklearn.ensemble import RandomForestClassifier\nfrom sklearn.model_selection import cross_val_score\nx, y = load_iris(return_X_y=True)\nprint(cross_val_score(RandomForestClassifier(20, random_state=0, n_jobs=2), x, y, n_jobs=2).mean() > 0.9)",
        "True\n",
    );
}

#[test]
fn pyarrow_computes_and_streams() {
    prints(
        "import pyarrow as pa, pyarrow.compute as pc, pyarrow.ipc as ipc\ntable = pa.table({'x': list(range(1000))})\nwith ipc.new_file('t.arrow', table.schema) as out: out.write_table(table)\nprint(pc.sum(ipc.open_file(pa.memory_map('t.arrow')).read_all()['x']).as_py())",
        "499500\n",
    );
}

#[test]
fn polars_groups_lazily_in_its_thread_pool() {
    prints(
        "import polars as pl\nprint(pl.LazyFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3]}).group_by('k').agg(pl.col('v').sum()).sort('k').collect().rows())",
        "[('a', 4), ('b', 2)]\n",
    );
}

#[test]
fn pillow_draws_and_reads_back() {
    prints(
        "from PIL import Image, ImageDraw, ImageFilter\nimage = Image.new('RGB', (64, 48), 'white'); ImageDraw.Draw(image).rectangle([8, 8, 40, 40], fill='red')\nimage.filter(ImageFilter.BLUR).save('i.png'); image.save('i.jpg')\nprint(Image.open('i.png').size, Image.open('i.jpg').getpixel((20, 20))[0] > 200)",
        "(64, 48) True\n",
    );
}

#[test]
fn sympy_solves() {
    prints(
        "import sympy as sp\nx = sp.symbols('x')\nprint(sp.integrate(sp.sin(x) * sp.exp(x), x), sp.solve(x**2 - 2, x))",
        "exp(x)*sin(x)/2 - exp(x)*cos(x)/2 [-sqrt(2), sqrt(2)]\n",
    );
}

#[test]
fn lxml_parses_and_transforms() {
    prints(
        "from lxml import etree, html\nsheet = etree.XSLT(etree.XML('<xsl:stylesheet version=\"1.0\" xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\"><xsl:template match=\"/\"><n><xsl:value-of select=\"count(//b)\"/></n></xsl:template></xsl:stylesheet>'))\nprint(str(sheet(etree.XML('<a><b/><b/></a>'))).split('?>')[1].strip(), html.fromstring('<p>x<br>y</p>').text_content())",
        "<n>2</n> xy\n",
    );
}

#[test]
fn sqlite_keeps_a_database_in_the_workspace() {
    prints(
        "import sqlite3\nwith sqlite3.connect('d.sqlite') as db:\n    db.execute('PRAGMA journal_mode=TRUNCATE')\n    db.execute('CREATE TABLE t (x)'); db.executemany('INSERT INTO t VALUES (?)', [(i,) for i in range(100)])\nprint(sqlite3.connect('d.sqlite').execute('SELECT sum(x) FROM t').fetchone())\nwith sqlite3.connect('/tmp/d.sqlite') as db: db.execute('CREATE TABLE t (x)')",
        "(4950,)\n",
    );
}

#[test]
fn pools_of_processes_and_threads() {
    prints(
        "from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor\nimport multiprocessing as mp\ndef square(x): return x * x\nfor context in ('fork', 'forkserver', 'spawn'):\n    with mp.get_context(context).Pool(2) as pool: print(context, pool.map(abs, [-1, 2]))\nwith ProcessPoolExecutor(2, mp.get_context('fork')) as pool: print(list(pool.map(square, range(4))))\nwith ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))\nqueue = mp.Queue(); mp.Process(target=queue.put, args=('through a queue',)).start(); print(queue.get())",
        "fork [1, 2]\nforkserver [1, 2]\nspawn [1, 2]\n[0, 1, 4, 9]\n328350\nthrough a queue\n",
    );
}

#[test]
fn asyncio_with_subprocesses() {
    prints(
        "import asyncio\nasync def run(n):\n    process = await asyncio.create_subprocess_shell(f'echo {n} | tr 0-9 a-j', stdout=asyncio.subprocess.PIPE)\n    return (await process.communicate())[0]\nprint(await asyncio.gather(*(run(n) for n in range(3))))",
        "[b'a\\n', b'b\\n', b'c\\n']\n",
    );
}

#[test]
fn a_web_server_and_its_client_in_one_session() {
    prints(
        "import http.server, threading, urllib.request\nopen('page.txt', 'w').write('an egg')\nserver = http.server.ThreadingHTTPServer(('localhost', 0), http.server.SimpleHTTPRequestHandler)\nserver.RequestHandlerClass.log_message = lambda *a: None\nthreading.Thread(target=server.serve_forever, daemon=True).start()\nprint(urllib.request.urlopen(f'http://localhost:{server.server_port}/page.txt').read())\nserver.shutdown()",
        "b'an egg'\n",
    );
}

#[test]
fn what_is_refused_is_an_ordinary_exception() {
    prints(
        "import socket, os, ctypes\nfor attempt in (lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), lambda: os.setuid(0), lambda: os.mkdir('/usr/x'), lambda: os.chroot('/tmp'), lambda: open('/proc/1/mem', 'wb')):\n    try: attempt(); print('allowed')\n    except OSError as error: print(type(error).__name__)\nprint(ctypes.CDLL(None).unshare(0x10000000))",
        "OSError\nOSError\nOSError\nPermissionError\nPermissionError\n-1\n",
    );
}
