# tries: to free its channel's number and others by racing on descriptors with clone flags and close_range
# expect: held
import resource
numbers = []
try:
    while True:
        numbers.append(os.dup(0))
except OSError as error:
    print("held:" if max(numbers) < CHANNEL else "BREACH:", f"{len(numbers)} more, then {error.strerror}")
for number in numbers:
    os.close(number)
