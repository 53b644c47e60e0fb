package risk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// file is one of the operator's, kept in memory: one that is mapped, and cut short by whoever
// writes a new one over it, would end the process. Newer versions are taken up by renew.
type file[T any] struct {
	path   string
	beside []string // files that it is read with: a change of one is a change of it
	most   int64    // bytes
	parse  func(path string, written time.Time, content []byte) (*T, error)
	value  atomic.Pointer[T]
	tried  []os.FileInfo // of the version that was tried last, with what is beside it
	fault  error         // why value is not of that version
}

// open reads the file as it is now.
func (f *file[T]) open() error {
	version, err := f.version()
	if err != nil {
		return err
	}
	info := version[0]
	if info.Size() > f.most {
		return fmt.Errorf("%s: must have at most %d MiB", f.path, f.most>>20)
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	value, err := f.parse(f.path, info.ModTime(), content)
	if err == nil {
		f.value.Store(value)
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed // of a file beside it: the next try may go better
	}
	f.tried, f.fault = version, err
	return err
}

// version is which the file is now.
func (f *file[T]) version() ([]os.FileInfo, error) {
	var all []os.FileInfo
	for _, path := range append([]string{f.path}, f.beside...) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// renew takes up a newer version. Whoever comes meanwhile reads the old one, which stays where
// the newer cannot be read: that is tried once, and told of each time. It must not run twice at
// once.
func (f *file[T]) renew() error {
	version, err := f.version()
	if err != nil {
		return err
	}
	if slices.EqualFunc(version, f.tried, same) {
		return f.fault
	}
	return f.open()
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
