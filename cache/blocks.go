package cache

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// blockKey names a block of one content of a file.
type blockKey struct {
	node *Node
	gen  uint64
	idx  int64
}

// blockCache is the LRU of content blocks, bounded by bytes. What is in a
// block must not be modified; a block shorter than BlockSize is zeros from its
// end up to the size of the file.
type blockCache struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[blockKey, []byte]
	bytes int64
	limit int64
}

// blockCost is what a block takes, with its entry and the node it keeps.
func blockCost(b []byte) int64 { return int64(cap(b)) + 1<<10 }

func newBlockCache(limit int64) *blockCache {
	c := &blockCache{limit: limit}
	// The bound is bytes, not entries; a size above zero cannot fail.
	c.lru, _ = simplelru.NewLRU(math.MaxInt32, func(_ blockKey, b []byte) {
		c.bytes -= blockCost(b)
	})
	return c
}

func (c *blockCache) get(k blockKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(k)
}

func (c *blockCache) contains(k blockKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Contains(k)
}

func (c *blockCache) put(k blockKey, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(k)
	c.lru.Add(k, b)
	c.bytes += blockCost(b)
	for c.bytes > c.limit && c.lru.Len() > 1 {
		c.lru.RemoveOldest()
	}
}

func (c *blockCache) remove(k blockKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(k)
}
