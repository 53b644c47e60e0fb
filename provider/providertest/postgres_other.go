//go:build !unix

package providertest

import "syscall"

// unprivileged says that no throw-away Postgres runs here.
func unprivileged() (*syscall.SysProcAttr, func(dir string) error, error) {
	return nil, nil, missing{"tests start Postgres on Unix only"}
}
