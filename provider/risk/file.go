package risk

import (
	"fmt"
	"os"
	"sync/atomic"
)

// file is one of the operator's, kept in memory: one that is mapped, and cut short by whoever
// writes a new one over it, would end the process. Newer versions are taken up by renew.
type file[T any] struct {
	path  string
	most  int64 // bytes
	parse func(path string, info os.FileInfo, content []byte) (*T, error)
	value atomic.Pointer[T]
	info  os.FileInfo // of the version that value is of
}

// open reads the file as it is now.
func (f *file[T]) open() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if info.Size() > f.most {
		return fmt.Errorf("%s: must have at most %d MiB", f.path, f.most>>20)
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	value, err := f.parse(f.path, info, content)
	if err != nil {
		return err
	}
	f.info = info
	f.value.Store(value)
	return nil
}

// renew takes up a newer version. Whoever comes meanwhile reads the old one, which stays where
// the newer cannot be read. It must not run twice at once.
func (f *file[T]) renew() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() {
		return nil
	}
	return f.open()
}
