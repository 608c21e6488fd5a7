# tries: to delete, and does not catch the refusal
# expect: error: [Errno 13] Permission denied: filesystem access restricted
open("file", "w").close()
os.remove("file")
print("deleted")
