# tries: to have the kernel load modules for rare protocols
# expect: held
for kind in (1, 2, 5, 6):
    for protocol in (33, 132, 136, 115, 262, 47, 50, 108):  # DCCP, SCTP, UDPLite, L2TP, MPTCP, GRE, ESP, IPComp
        attempt(f"{kind}/{protocol}", lambda: socket.socket(socket.AF_INET, kind, protocol))
verdict()
