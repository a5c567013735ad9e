/** Stylesheets are the bundler's: importing one puts it into the page's. */
declare module "*.css";
