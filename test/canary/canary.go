// Package canary looks for secrets where they must not be. It learns what Secrets hold, and searches texts for that,
// as it is and in the encodings that something on the way may have put it into.
package canary

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// shortest is how many bytes a secret has to have so that finding it says something.
const shortest = indexed

// indexed is how many bytes of a form it is looked up by.
const indexed = 8

// Canaries are what must not be found. The methods may be called from many goroutines.
type Canaries struct {
	mu     sync.Mutex
	values map[string]bool
	forms  map[uint64][]form
	// made are the values that the operator made, and the namespaces in which they are held.
	made map[string][]string
}

// form is a secret, or a part of it, in an encoding.
type form struct {
	text string
	// what tells where it is from, and how it is written.
	what string
}

// Finding is a secret in a place where it must not be. It does not hold the secret.
type Finding struct {
	// Where is the name of the text, and the number of the line.
	Where string
	// What is the Secret that the value is from, and its encoding.
	What string
	// Around is the beginning of the line, as far as there is no secret in it.
	Around string
}

func (f Finding) String() string { return f.Where + ": " + f.What + ": " + f.Around }

// New makes Canaries that know nothing yet.
func New() *Canaries {
	return &Canaries{values: map[string]bool{}, forms: map[uint64][]form{}, made: map[string][]string{}}
}

// Learn remembers what a Secret holds that nobody else may know.
func (c *Canaries) Learn(secret *corev1.Secret) {
	for key, data := range secret.Data {
		for _, value := range material(key, data) {
			c.holds(secret, value)
			c.Add(fmt.Sprintf("%s of Secret %s/%s", key, secret.Namespace, secret.Name), value)
		}
	}
}

// holds remembers where a value is that was seen first in a Secret of the operator's.
func (c *Canaries) holds(secret *corev1.Secret, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	operators := secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
	if operators && secret.Labels["konghq.com/credential"] != "" {
		return // of a KongConsumer: the ingress controller reads it in the operator's namespace
	}
	in, made := c.made[value]
	if (made || operators && !c.values[value]) && !slices.Contains(in, secret.Namespace) {
		c.made[value] = append(in, secret.Namespace)
	}
}

// Add remembers a value, and where it is from. A value that is too short to be told from other text is left out.
func (c *Canaries) Add(from, value string) {
	if len(value) < shortest {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values[value] {
		return
	}
	c.values[value] = true
	for _, f := range forms(value) {
		if len(f.text) < indexed {
			continue
		}
		at := binary.LittleEndian.Uint64([]byte(f.text))
		c.forms[at] = append(c.forms[at], form{text: f.text, what: from + ", " + f.what})
	}
}

// Len is how many values are known.
func (c *Canaries) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.values)
}

// Astray gives the namespaces that hold the same material of the operator's making: each is for one tenant.
func (c *Canaries) Astray() [][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found [][]string
	for _, in := range c.made {
		if len(in) > 1 {
			found = append(found, slices.Sorted(slices.Values(in)))
		}
	}
	return found
}

// Search reads a text to its end and gives what is in it, a value once a line.
func (c *Canaries) Search(name string, text io.Reader) ([]Finding, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []Finding
	lines := bufio.NewReader(text)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		first, whats := c.in(line)
		for _, what := range whats {
			found = append(found, Finding{Where: fmt.Sprintf("%s:%d", name, number), What: what, Around: beginning(line[:first])})
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
	}
}

// in gives what is in a line, each secret once in each encoding, and where the first begins.
func (c *Canaries) in(line []byte) (first int, found []string) {
	for i := 0; i+indexed <= len(line); i++ {
		for _, f := range c.forms[binary.LittleEndian.Uint64(line[i:])] {
			if !bytes.HasPrefix(line[i:], []byte(f.text)) || slices.Contains(found, f.what) {
				continue
			}
			if len(found) == 0 {
				first = i
			}
			found = append(found, f.what)
		}
	}
	return first, found
}

// beginning is so much of what stands before the first secret of a line as tells what the line is: a log's time and
// message, an object's kind and name.
func beginning(before []byte) string {
	const enough = 160
	return string(before[:min(len(before), enough)])
}
