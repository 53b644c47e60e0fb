package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// The key-encryption keys beside an SQLite database, unless keys.kek is set:
//
//	kek                    the current one, made on the first start
//	kek.next               the one to come, while `key rotate-kek` changes it
//	kek.0123456789abcdef   an older one, by its id
//
// All of them open what was sealed. At every moment of a change each key that
// anything may be sealed with has a name, and servers read the files anew.
const (
	kekName   = "kek"
	kekNext   = "kek.next"
	kekPrefix = "kek."
)

var isOldKEK = regexp.MustCompile(`^kek\.[0-9a-f]{16}$`)

// keyEncryptionKeys are the keys of this run.
type keyEncryptionKeys struct {
	current  []byte
	accepted [][]byte
	reread   func() ([]byte, [][]byte, error) // nil: they are as configured
}

// keyEncryptionKeys returns the configured keys. If there is no current one, the
// database is SQLite and the keys are the files beside it, made here on the first
// start.
func (c *config) keyEncryptionKeys(ctx context.Context, store *storage.Store) (keyEncryptionKeys, error) {
	if c.KEK != nil {
		return keyEncryptionKeys{current: c.KEK, accepted: c.KEKAccepted}, nil
	}
	dir, err := c.kekDir()
	if err != nil {
		return keyEncryptionKeys{}, err
	}
	path := filepath.Join(dir, kekName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		// A fresh key opens nothing that an older one sealed: say what is missing instead.
		sealed, err := store.Keys(ctx)
		if err != nil {
			return keyEncryptionKeys{}, err
		}
		if len(sealed) > 0 {
			return keyEncryptionKeys{}, c.refuse("keys.kek", "is missing: the keys in %s were sealed with the key in %s, which is gone; put it back from your backup", redact(c.Database), path)
		}
		if err := makeKEK(path, keys.NewKEK()); err != nil {
			return keyEncryptionKeys{}, fmt.Errorf("key-encryption key: %w", err)
		}
	}
	current, accepted, err := c.givenKEKs()
	if err != nil {
		return keyEncryptionKeys{}, c.refuse("keys.kek", "%v", err)
	}
	return keyEncryptionKeys{current, accepted, c.givenKEKs}, nil
}

// givenKEKs returns the configured keys and makes none. fs.ErrNotExist: the database is
// SQLite, and there is none beside it.
func (c *config) givenKEKs() (current []byte, accepted [][]byte, err error) {
	if c.KEK != nil {
		return c.KEK, c.KEKAccepted, nil
	}
	dir, err := c.kekDir()
	if err != nil {
		return nil, nil, err
	}
	current, accepted, err = readKEKs(dir)
	return current, slices.Concat(accepted, c.KEKAccepted), err
}

// kekDir is where the SQLite database is.
func (c *config) kekDir() (string, error) {
	u, err := url.Parse(c.Database)
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimPrefix(u.Path, "/./")), nil
}

// readKEKs reads the files beside the database: the current key and the others.
func readKEKs(dir string) (current []byte, others [][]byte, err error) {
	path := filepath.Join(dir, kekName)
	for {
		if current, err = readKEK(path); err != nil {
			return nil, nil, err
		}
		if others, err = readOtherKEKs(dir); err != nil {
			return nil, nil, err
		}
		// If they changed meanwhile, one that has another name by now may be missing.
		if again, err := readKEK(path); err != nil || bytes.Equal(again, current) {
			return current, others, err
		}
	}
}

func readOtherKEKs(dir string) (others [][]byte, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if file.Name() != kekNext && !isOldKEK.MatchString(file.Name()) {
			continue
		}
		other, err := readKEK(filepath.Join(dir, file.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was kek.next, and is the current one by now
		}
		if err != nil {
			return nil, err
		}
		others = append(others, other)
	}
	return others, nil
}

func readKEK(path string) ([]byte, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	kek, err := parseKEK(string(text))
	if err != nil {
		return nil, fmt.Errorf("the content of %s %w", path, err)
	}
	return kek, nil
}

// makeKEK writes a key to path unless something is there.
func makeKEK(path string, kek []byte) error {
	err := writeOnce(path, func(w io.Writer) error {
		_, err := io.WriteString(w, base64.StdEncoding.EncodeToString(kek)+"\n")
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// replaceKEK makes a new key the current one beside the database, or brings to its end
// what was begun. It may be killed after any step: what is sealed with either key
// opens, and the next run goes on. Two at once take turns.
func replaceKEK(ctx context.Context, store *storage.Store, dir string) error {
	return store.Alone(ctx, func() error {
		next, path := filepath.Join(dir, kekNext), filepath.Join(dir, kekName)
		if err := makeKEK(next, keys.NewKEK()); err != nil {
			return err
		}
		old, err := readKEK(path)
		if err != nil {
			return err
		}
		if err := makeKEK(filepath.Join(dir, kekPrefix+keys.KEKID(old)), old); err != nil {
			return err
		}
		if err := os.Rename(next, path); err != nil {
			return err
		}
		return syncDir(dir)
	})
}
