//! The environment with the data packages.

use serde_json::Value;

use crate::server::Server;

#[test]
fn a_group_by_with_pandas() {
    let server = Server::data();
    let code = "\
import pandas as pd
df = pd.DataFrame({'kind': ['a', 'b', 'a'], 'eggs': [1, 2, 3]})
print(df.groupby('kind').eggs.agg(['sum', 'mean']).to_json())
";
    let printed: Value = serde_json::from_str(&server.session().print(code)).expect("pandas prints JSON");
    assert_eq!(printed, serde_json::json!({ "sum": { "a": 4, "b": 2 }, "mean": { "a": 2.0, "b": 2.0 } }));
}

#[test]
fn a_plot_with_matplotlib_is_a_png_of_its_size() {
    let server = Server::data();
    let session = server.session();
    session.print(
        "import matplotlib.pyplot as plt\n\
        fig = plt.figure(figsize=(3, 2), dpi=100); plt.plot([1, 3, 2]); plt.title('é'); fig.savefig('plot.png')",
    );
    let code = "\
import struct, zlib
data = open('plot.png', 'rb').read()
assert data[:8] == b'\\x89PNG\\r\\n\\x1a\\n'
length, kind, width, height = struct.unpack('>I4sII', data[8:24])
assert zlib.crc32(data[12:29]) == struct.unpack('>I', data[29:33])[0]
print(kind, width, height, data[-8:-4])
";
    assert_eq!(session.print(code), "b'IHDR' 300 200 b'IEND'\n");
}

#[test]
fn numpy_with_its_threads_and_its_randomness() {
    let server = Server::data();
    let code = "import numpy as np; a = np.random.rand(200, 200)\n\
                print(np.allclose(a @ np.linalg.inv(a), np.eye(200)))";
    assert_eq!(server.session().print(code), "True\n");
    let random =
        || server.session().print("import numpy as np; print(np.random.rand(), np.random.default_rng().random())");
    assert_ne!(random(), random());
}

#[test]
fn a_csv_goes_through_the_workspace() {
    let server = Server::data();
    let session = server.session();
    session.print("import pandas as pd; pd.DataFrame({'x': range(1000)}).to_csv('x.csv', index=False)");
    assert_eq!(session.print("print(pd.read_csv('x.csv').x.sum())"), "499500\n");
}
