"""What tests stand on. From the smallest world that shows a thing to the largest, take the first that will do.

one machine         alone (a beacon machine; the test is everything else), dkg_bench (the same for a key generation),
                    people (identities to talk about)
some machines       dkg_world (key generation, seeded chance), stage (rounds, no chance but loss), network (whole beacon
                    processes with real vaults), dkg_vault (a plain vault that can lie), vaults (real ones)
one shell           shells (a beacon's shell over doubles), operated (a daemon as its control socket sees it)
chains              committee (a group whose secret the test knows), locked_chain (with a known key), stored (nouns),
                    locks (a file that another program writes to)
servers of chains   served (in memory), http_chain (honest, lying, hanging), http_clients (ask those), living_chain (in
                    real time), chain_server (in a thread, for programs of others)
sockets             daemons (in this process), http2_frames (by hand), authority (certificates), command_line,
                    node_folder (for commands that need no daemon), crowd
processes           running (one process and what it prints), processes (nodes and networks), relays, chromium, ports
programs            tools (the programs of `tools/`, loaded as modules)
bytes               vectors (made by Go), wire_samples (nouns with real points), schemes, suites, entropy, torsion and
                    twist_points (on the curve, not in the group)
"""
