package providertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort returns a port of an address of this machine that nobody has. It is below those that
// kernels hand out by themselves, of which somebody's connection could take it before it is used.
func FreePort(address string) (port int, err error) {
	for range 100 {
		port = 10_000 + rand.IntN(20_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port of a hundred: %w", err)
}
