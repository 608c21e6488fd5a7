"""What a nest runs before its first fork, so that sessions find it compiled, specialised, cached and paged in.

Each program is run as a session's code is, output and all, and what it makes is thrown away. It must not use up what programs
count on, such as the numbers in the names of threads and tasks, or the event loop that there is none of yet.
"""

# By the module that a program is for; those for none are for every nest. An ending other than the one here is a mistake,
# which goes to the log and costs sessions time.
OK, EXCEPTION = 0, 1
PROGRAMS = (
    (None, OK, "import math\ndef f(x):\n    return [math.sqrt(y) for y in x]\nprint(f(range(3)), flush=True)"),
    (None, OK, "class A:\n    def __init__(self, n):\n        self.n = n\nprint(f'{A(1).n:>4} {[*map(str, {1: 2})]}')"),
    (None, EXCEPTION, "def g(x):\n    return 1 / x\ng(0)"),
    (None, EXCEPTION, "f([-1])"),
    (None, EXCEPTION, "x = ("),
    (
        None,
        OK,
        "import asyncio\nasync def h():\n    await asyncio.sleep(0)\n"
        "loop = asyncio.new_event_loop()\nloop.run_until_complete(loop.create_task(h(), name='t'))\nloop.close()",
    ),
    (
        None,
        OK,
        "import threading, concurrent.futures\n"
        "thread = threading.Thread(target=print, args=(1,), name='t'); thread.start(); thread.join()\n"
        "with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix='t') as pool:\n    pool.submit(abs, -1).result()",
    ),
    (
        None,
        OK,
        "import subprocess\n"
        "try:\n    subprocess.run(['/bin/true'], capture_output=True, text=True)\n"
        "except OSError:\n    pass",
    ),
    (
        None,
        OK,
        "import json, re, datetime, pathlib, tempfile\n"
        "json.loads(json.dumps({'a': [1, None, 2.5]})), re.sub(r'(a+)b', r'\\1', 'aab')\n"
        "print(datetime.datetime.now().isoformat(), pathlib.Path('a') / 'b')",
    ),
    ("ssl", OK, "import ssl\nssl.RAND_bytes(1)"),
    (
        "numpy",
        OK,
        "import numpy as np\n"
        "a = np.arange(6.0).reshape(2, 3)\n"
        "print(a @ a.T, a.mean(axis=0), np.linalg.inv(np.eye(2)), a.std(), np.sort(a)[::-1], a > 1)\n"
        "np.random.default_rng().normal(size=3), np.random.rand(2)",
    ),
    (
        "pandas",
        OK,
        "import io, pandas as pd\n"
        "frame = pd.DataFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3], 'w': [1.5, None, 2.5]})\n"
        "print(frame, frame.head(), frame.dtypes)\n"
        "print(frame.describe(), frame.groupby('k').agg({'v': 'sum', 'w': 'mean'}), frame['v'].value_counts())\n"
        "print(frame.groupby('k')['v'].sum(), frame.groupby('k').mean())\n"
        "print(frame.merge(frame, on='k').sort_values('v_x').reset_index(drop=True))\n"
        "print(frame[frame.v > 1].assign(x=frame.v * 2).pivot_table(index='k', values='v'), frame.isna().sum())\n"
        "print(pd.read_csv(io.StringIO('a,b\\n1,x\\n2,y')).to_csv(), frame._repr_html_()[:1])\n"
        "print(pd.to_datetime(pd.Series(['2024-01-31'])).dt.month, frame.w.fillna(0).rolling(2).mean())",
    ),
    (
        "matplotlib.pyplot",
        OK,
        "import io, matplotlib.pyplot as plt\n"
        "figure, axes = plt.subplots()\n"
        "axes.plot([1, 2, 3], [3, 1, 2], label='a'); axes.bar([1, 2], [1, 2]); axes.scatter([1], [2])\n"
        "axes.hist([1, 2, 2]); axes.set_title('t'); axes.set_xlabel('x'); axes.legend(); axes.grid()\n"
        "figure.savefig(io.BytesIO(), format='png', bbox_inches='tight'); figure.savefig(io.BytesIO())\n"
        "plt.close('all')\n"
        "plt.figure(); plt.plot([1, 2]); plt.tight_layout(); plt.savefig(io.BytesIO()); plt.close()",
    ),
)

# What of it a session that was made ahead runs once more, so that the pages it writes to are its own already.
AGAIN = PROGRAMS[0][2]


# The same for executions whose results are collected.
COLLECTED = (
    (None, OK, "class A:\n    def _repr_html_(self):\n        return '<b>1</b>'\ndisplay(A(), display_id=True); [1, 'é', None]"),
    (None, EXCEPTION, "1 / 0"),
    (None, EXCEPTION, "x = ("),
    ("pandas", OK, "import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', None]})"),
    ("numpy", OK, "import numpy as np\nnp.arange(3)"),
    ("matplotlib.pyplot", OK, "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]); plt.title('t'); plt.show()\nplt.bar([1], [2])"),
)


def of(modules, programs):
    """Those of them for nests with these modules."""
    return [(ending, program) for module, ending, program in programs if module is None or module in modules]
