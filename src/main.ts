#!/usr/bin/env node
// Where every process of the service begins. What always holds: how memory is kept is said before anything else is
// loaded. Loading may take a full collection, and at the first one V8 settles when it is going to tidy up.
import { keepFreedMemory } from './allocator.js';

keepFreedMemory();
await import('./command.js');
