//! The code that rows run, and what it prints.

#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) source: &'static str,
    pub(crate) prints: &'static str,
}

/// What a new session runs.
pub(crate) const FIRST: Code = Code { source: "print(1 + 1)", prints: "2\n" };
/// What gives a session the `x` that [`WARM`] prints.
pub(crate) const SET: Code = Code { source: "x = 5\nprint(x)", prints: "5\n" };
/// What a live one runs.
pub(crate) const WARM: Code = Code { source: "print(x)", prints: "5\n" };
/// What a session has that is forked, written down and put to sleep.
pub(crate) const STATE: Code = Code {
    source: "rows = [{'n': n, 's': str(n)} for n in range(1000)]\nsquares = (n * n for n in range(1000))\nx = 5\nprint(next(squares))",
    prints: "0\n",
};
/// The same with an array of a GiB that was written to.
pub(crate) const LARGE: Code =
    Code { source: "import numpy\nlarge = numpy.ones(1 << 27)\nx = 5\nprint(int(large[-1]))", prints: "1\n" };
/// What ends an interpreter.
pub(crate) const END: &str = "import os; os._exit(3)";

/// What does nothing.
pub(crate) const NOTHING: Code = Code { source: "", prints: "" };

pub(crate) const GROUPBY: Code = Code {
    source: "import pandas as pd\n\
             frame = pd.DataFrame({'k': ['a', 'b', 'a', 'b'], 'v': [1.0, 2.0, 3.0, 4.0]})\n\
             print(frame.groupby('k')['v'].sum().to_dict())",
    prints: "{'a': 4.0, 'b': 6.0}\n",
};
pub(crate) const PLOT: Code = Code {
    source: "import io\nimport matplotlib.pyplot as plt\n\
             figure, axes = plt.subplots()\naxes.plot([1, 4, 9, 16])\naxes.set_title('squares')\n\
             picture = io.BytesIO()\nfigure.savefig(picture, format='png')\n\
             print(picture.getvalue()[1:4].decode(), len(picture.getvalue()) > 5000)",
    prints: "PNG True\n",
};

impl Code {
    /// # Errors
    /// Where something else was printed.
    pub(crate) fn check(&self, printed: &str) -> anyhow::Result<()> {
        anyhow::ensure!(printed == self.prints, "a wrong answer: {printed:?}, where {:?} was due", self.prints);
        Ok(())
    }
}
