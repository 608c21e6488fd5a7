# tries: to delete by pathlib
# expect: held
from pathlib import Path
Path("file").write_text("egg"); Path("other").write_text("other"); Path("empty").mkdir()
for call in (Path("file").unlink, Path("empty").rmdir, lambda: Path("file").rename("new"), lambda: Path("file").replace("other"),
             lambda: Path("file").unlink(missing_ok=True), Path(WORKSPACE, "file").absolute().unlink):
    attempt("call", call)
if Path("file").read_text() != "egg" or Path("other").read_text() != "other" or not Path("empty").is_dir():
    successes.append("something is gone")
verdict()
