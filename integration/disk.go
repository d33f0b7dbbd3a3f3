package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Disk is a file system of its own, mounted on a folder.
type Disk struct {
	// Dir is where it is mounted.
	Dir string
	// image is the file that holds it; "" when it is in memory.
	image string
}

// ErrNoMount says that this process may not mount file systems.
var ErrNoMount = errors.New("cannot mount a file system here")

// NewDisk makes an ext4 of the size in bytes in a file and mounts it below the folder.
// It is mounted without discard, which would make a spool with a file per message ten
// times slower than such a spool is elsewhere, and all its blocks are written beforehand.
func NewDisk(dir string, size int64) (*Disk, error) {
	d := &Disk{Dir: filepath.Join(dir, "disk"), image: filepath.Join(dir, "disk.img")}
	return d.mount(
		[]string{"dd", "if=/dev/zero", "of=" + d.image, "bs=1M", fmt.Sprintf("count=%d", size>>20), "status=none"},
		[]string{"mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", d.image},
		[]string{"mount", "-o", "loop,nodiscard,relatime", d.image, d.Dir},
	)
}

// NewRAMDisk mounts a file system in memory below the folder, with room for size bytes.
func NewRAMDisk(dir string, size int64) (*Disk, error) {
	d := &Disk{Dir: filepath.Join(dir, "disk")}
	return d.mount([]string{"mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "postrider", d.Dir})
}

// mount runs the commands that make and mount the disk.
func (d *Disk) mount(commands ...[]string) (*Disk, error) {
	if os.Getuid() != 0 {
		return nil, ErrNoMount
	}
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return nil, err
	}
	for _, args := range commands {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s: %w: %s", ErrNoMount, strings.Join(args, " "), err, out), d.remove())
		}
	}
	return d, nil
}

// Free is how many bytes are left.
func (d *Disk) Free() (int64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(d.Dir, &s)
	return int64(s.Bavail) * s.Bsize, err
}

// Written is how many bytes have been written to the disk, those included that wait in memory
// to be written: they are written first. The file system's own journal counts too.
func (d *Disk) Written() (int64, error) {
	if out, err := exec.Command("sync", "-f", d.Dir).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("sync %s: %w: %s", d.Dir, err, out)
	}
	var s syscall.Stat_t
	if err := syscall.Stat(d.Dir, &s); err != nil {
		return 0, err
	}
	major, minor := s.Dev>>8&0xfff, s.Dev&0xff|s.Dev>>12&0xfff00
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", major, minor))
	if err != nil {
		return 0, err
	}
	const written, sector = 6, 512 // the seventh field counts sectors of 512 bytes, whatever the disk's
	fields := strings.Fields(string(text))
	if len(fields) <= written {
		return 0, fmt.Errorf("the statistics of a disk end early: %q", text)
	}
	n, err := strconv.ParseInt(fields[written], 10, 64)
	return n * sector, err
}

// Fill takes space away until only so many bytes are left, 0 for none at all. It can be called
// again, when something has given up space of its own.
func (d *Disk) Fill(left int64) error {
	f, err := os.OpenFile(d.filler(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		free, err := d.Free()
		if err != nil || free <= left {
			return err
		}
		err = syscall.Fallocate(int(f.Fd()), 0, info.Size(), free-left)
		if !errors.Is(err, syscall.ENOSPC) { // somebody has taken some of it meanwhile
			return err
		}
	}
}

// Clear gives back what Fill took.
func (d *Disk) Clear() error { return os.Remove(d.filler()) }

func (d *Disk) filler() string { return filepath.Join(d.Dir, "filler") }

// Close unmounts the disk; what was on it is gone.
func (d *Disk) Close() error {
	if out, err := exec.Command("umount", d.Dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount %s: %w: %s", d.Dir, err, out)
	}
	return d.remove()
}

func (d *Disk) remove() error {
	if d.image == "" {
		return nil
	}
	return os.Remove(d.image)
}
