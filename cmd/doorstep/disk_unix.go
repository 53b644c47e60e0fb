//go:build linux || darwin || freebsd

package main

import "syscall"

// freeSpace is how many bytes may still be written to the file system of a path;
// known is false where the system does not say.
func freeSpace(path string) (free uint64, known bool) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return 0, false
	}
	return uint64(max(0, int64(fs.Bavail))) * uint64(fs.Bsize), true //nolint:gosec // their types differ from system to system
}

// mountedReadOnly says whether nobody can write to where a path is, whatever its mode.
func mountedReadOnly(path string) bool {
	const readOnly = 1 // ST_RDONLY, MNT_RDONLY
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Flags&readOnly != 0
}
