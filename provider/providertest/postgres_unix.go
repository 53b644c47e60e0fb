//go:build unix

package providertest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged returns how a program runs as somebody other than root, whom
// Postgres refuses, and how to give that somebody a directory. Whoever is not
// root stays who they are.
func unprivileged() (*syscall.SysProcAttr, func(dir string) error, error) {
	if os.Geteuid() != 0 {
		return nil, func(string) error { return nil }, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, nil, fmt.Errorf("user %s: %w", name, err)
		}
		attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return attr, func(dir string) error { return os.Chown(dir, int(uid), int(gid)) }, nil
	}
	return nil, nil, missing{"we are root, whom Postgres refuses, and there is no user postgres or nobody to run it as"}
}
