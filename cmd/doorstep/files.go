package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// writeOnce writes a file for its owner alone, unless something is at path:
// fs.ErrExist then. It appears whole or not at all, and stays when the power goes.
func writeOnce(path string, content func(w io.Writer) error) error {
	// CreateTemp makes files that only their owner may read or write.
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // under its real name it stays
	err = content(temp)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes what was named in a directory last when the power goes.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot sync directories, and its file system keeps names itself
	}
	d, err := os.Open(dir) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
