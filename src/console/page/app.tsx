/** Starts the page. */
import { render } from 'preact';

render(<h1>Sluice</h1>, document.body);
