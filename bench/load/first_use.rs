//! What data work begins with, as the first code of a new session and of an interpreter that has nothing imported.

use anyhow::{Result, ensure};

use crate::catalog::{GROUPBY, GROUPBY_COLD, PLOT, PLOT_COLD, Row};
use crate::interpreter;
use crate::options::{Counts, Options};
use crate::progress;
use crate::results::Results;
use crate::round_trips::{new_session, no_op};
use crate::stand::Stand;

struct Work {
    warm: &'static Row,
    cold: &'static Row,
    code: &'static str,
    prints: &'static str,
}

const WORKS: [Work; 2] = [
    Work {
        warm: &GROUPBY,
        cold: &GROUPBY_COLD,
        code: "import pandas as pd\n\
               frame = pd.DataFrame({'k': ['a', 'b', 'a', 'b'], 'v': [1.0, 2.0, 3.0, 4.0]})\n\
               print(frame.groupby('k')['v'].sum().to_dict())",
        prints: "{'a': 4.0, 'b': 6.0}\n",
    },
    Work {
        warm: &PLOT,
        cold: &PLOT_COLD,
        code: "import io\nimport matplotlib.pyplot as plt\n\
               figure, axes = plt.subplots()\naxes.plot([1, 4, 9, 16])\naxes.set_title('squares')\n\
               picture = io.BytesIO()\nfigure.savefig(picture, format='png')\n\
               print(picture.getvalue()[1:4].decode(), len(picture.getvalue()) > 5000)",
        prints: "PNG True\n",
    },
];

pub(crate) async fn measure(stand: &mut Stand, options: &Options, counts: Counts, results: &mut Results) -> Result<()> {
    progress(format_args!("the first groupby and the first plot, {} rounds", counts.first_rounds));
    for round in 0..counts.first_rounds {
        for Work { warm, cold, code, prints } in &WORKS {
            stand.rest().await;
            no_op(&mut stand.data).await?;
            new_session(&mut stand.data, warm, code, prints, results).await?;
            if round % counts.slow_every == 0 {
                let (printed, took) = interpreter::run(&options.python, code).await?;
                ensure!(printed == prints.as_bytes(), "a wrong answer of {}", options.python.display());
                results.took(cold, Some(took))?;
            }
        }
    }
    Ok(())
}
