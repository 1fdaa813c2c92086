package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
)

// SigningKey derives the key that signs requests of one day, region and service.
func SigningKey(secret, date, region, service string) []byte {
	key := mac([]byte("AWS4"+secret), date)
	key = mac(key, region)
	key = mac(key, service)
	return mac(key, terminator)
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

type cacheKey struct{ secret, date, region, service string }

// keyCache remembers derived signing keys. It holds at most two generations of size entries: when the young one is full
// it becomes the old one, so what is in use survives and what is not goes, without a list to keep in order.
type keyCache struct {
	size int

	mu         sync.Mutex
	young, old map[cacheKey][]byte
}

func (c *keyCache) get(secret, date, region, service string) []byte {
	k := cacheKey{secret, date, region, service}
	c.mu.Lock()
	key, ok := c.young[k]
	if !ok {
		if key, ok = c.old[k]; ok {
			c.put(k, key)
		}
	}
	c.mu.Unlock()
	if ok {
		return key
	}
	return SigningKey(secret, date, region, service)
}

// add remembers a key. Only keys that proved a signature are added, so that guesses cannot push out what is in use.
func (c *keyCache) add(secret, date, region, service string, key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := cacheKey{secret, date, region, service}
	if _, ok := c.young[k]; !ok {
		c.put(k, key)
	}
}

func (c *keyCache) put(k cacheKey, key []byte) {
	if c.young == nil || len(c.young) >= c.size {
		c.old, c.young = c.young, make(map[cacheKey][]byte)
	}
	c.young[k] = key
}

func (c *keyCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}
