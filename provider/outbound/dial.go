package outbound

import (
	"context"
	"net"
	"time"
)

// Dial connects to a server that an operator named in the configuration, wherever it
// is: an address that anybody else gave us never comes here. All that is done with
// the connection ends with ctx's deadline, whatever deadline is set later.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	until, bounded := ctx.Deadline()
	if !bounded {
		return conn, nil
	}
	c := &endingConn{Conn: conn, until: until}
	return c, c.SetDeadline(until)
}

// endingConn is a connection whose deadlines are never later than until.
type endingConn struct {
	net.Conn
	until time.Time
}

func (c *endingConn) within(t time.Time) time.Time {
	if t.IsZero() || t.After(c.until) {
		return c.until
	}
	return t
}

// SetDeadline implements net.Conn.
func (c *endingConn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.within(t)) }

// SetReadDeadline implements net.Conn.
func (c *endingConn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.within(t)) }

// SetWriteDeadline implements net.Conn.
func (c *endingConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.within(t)) }
