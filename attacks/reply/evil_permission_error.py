# tries: to pass an exception of its own off as the refusal of a deletion: it may, about itself
# expect: error: [Errno 13] Permission denied: filesystem access restricted
raise PermissionError(13, "Permission denied: filesystem access restricted")
