package disk

import (
	"os"
	"sync"
)

// flusher makes the names in a directory durable. One flush serves all who asked before it began.
type flusher struct {
	dir  string
	turn sync.Mutex // held while the disk works

	mu   sync.Mutex
	next *flush // has not begun
}

type flush struct {
	done chan struct{}
	err  error
}

func (d *flusher) flush() error {
	d.mu.Lock()
	if f := d.next; f != nil {
		d.mu.Unlock()
		<-f.done
		return f.err
	}
	f := &flush{done: make(chan struct{})}
	d.next = f
	d.mu.Unlock()

	d.turn.Lock()
	d.mu.Lock()
	d.next = nil
	d.mu.Unlock()
	f.err = flushDir(d.dir)
	d.turn.Unlock()
	close(f.done)
	return f.err
}

func flushDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// folder is one of the directories that objects are spread over.
type folder struct {
	names flusher

	mu     sync.Mutex
	rooted bool // its own name in the root is durable
}

// folder finds the one of a key, which need not exist yet.
func (b *Bucket) folder(key string) *folder {
	name := key[:min(2, len(key))]
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.folders[name]
	if f == nil {
		f = &folder{names: flusher{dir: b.dir + string(os.PathSeparator) + name}}
		b.folders[name] = f
	}
	return f
}

// flush makes the names in the folder durable, and the folder's own the first time. Who made the folder does not
// matter: that process may have died before it could flush.
func (f *folder) flush(b *Bucket) error {
	f.mu.Lock()
	rooted := f.rooted
	f.mu.Unlock()
	if !rooted {
		if err := b.root.flush(); err != nil {
			return err
		}
		f.setRooted(true)
	}
	return f.names.flush()
}

func (f *folder) setRooted(rooted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rooted = rooted
}
