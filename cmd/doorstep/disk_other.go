//go:build !(linux || darwin || freebsd)

package main

// freeSpace is how many bytes may still be written to the file system of a path;
// known is false where the system does not say.
func freeSpace(string) (free uint64, known bool) { return 0, false }

// mountedReadOnly says whether nobody can write to where a path is, where the system
// says so.
func mountedReadOnly(string) bool { return false }
