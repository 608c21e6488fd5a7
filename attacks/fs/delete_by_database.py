# tries: to have SQLite delete its journal, and to delete the database by it
# expect: held
import sqlite3
database = sqlite3.connect("data.db")
try:
    database.execute("create table t (x)")
    database.commit()
except sqlite3.OperationalError as error:
    refusals.append(str(error))
journal = os.path.exists("data.db-journal")
database.close()
attempt("journal", lambda: os.remove("data.db-journal" if journal else "data.db"))
if not os.path.exists("data.db"):
    successes.append("the database is gone")
verdict()
