#!/usr/bin/env node
// Where every process of the service begins. What always holds: no signal opens Node's inspector from here on; and how
// memory is kept is said before anything else is loaded. Loading may take a full collection, and at the first one V8
// settles when it is going to tidy up.
import { keepFreedMemory } from './allocator.js';
import { ignoreInspectorSignal } from './inspector.js';

ignoreInspectorSignal();
keepFreedMemory();
await import('./command.js');
